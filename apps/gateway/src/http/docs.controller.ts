import { createHash } from 'node:crypto';
import { Controller, Get, Header, Inject, type OnApplicationBootstrap } from '@nestjs/common';
import { z } from 'zod';
import { GATEWAY_CONFIG, type GatewayConfig } from '../config.js';
import { Answers } from './answers.js';
import { docsPage, DOCS_STYLE } from './docs-page.js';
import { openApiDocument } from './openapi.js';
import { Routes } from './routes.js';

const STYLE_HASH = createHash('sha256').update(DOCS_STYLE).digest('base64');
const CSP = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** The API's own description: for tools, and for people. Nothing is fetched from anywhere, and nothing runs. */
@Controller()
export class DocsController implements OnApplicationBootstrap {
  private document: Record<string, unknown> = {};
  private html = '';

  constructor(
    private readonly routes: Routes,
    @Inject(GATEWAY_CONFIG) private readonly config: GatewayConfig,
  ) {}

  /** Also where routes and policy are compared: a gateway in which they differ does not start. */
  onApplicationBootstrap(): void {
    this.document = openApiDocument(this.routes.all(), this.config.PUBLIC_URL);
    this.html = docsPage(this.routes.all());
  }

  @Get('docs-json')
  @Answers({ summary: 'This description as OpenAPI 3.1', schema: z.looseObject({ openapi: z.string() }), safe: true })
  json(): Record<string, unknown> {
    return this.document;
  }

  @Get('docs')
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CSP)
  @Answers({ summary: 'This description for people', schema: z.string(), media: 'text/html', safe: true })
  page(): string {
    return this.html;
  }
}
