import { Injectable, RequestMethod, type Type } from '@nestjs/common';
import { HTTP_CODE_METADATA, METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { type Accepted, acceptedBy } from './accepts.js';
import { type Answered, answeredBy } from './answers.js';
import { type Access, accessOf, POLICY } from './policy.js';

/** One route, as its decorators and the policy describe it. */
export interface Route {
  method: string;
  /** As the router spells it: `/v1/face/attempts/:id`. */
  path: string;
  controller: string;
  handler: string;
  status: number;
  access: Access;
  accepts: Accepted;
  answers: Answered;
}

/** Every route there is, read from the controllers, so that nothing is listed twice. */
@Injectable()
export class Routes {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  /** @throws Error naming every route without a line in the policy or without a declared answer, and every line without a route. */
  all(): Route[] {
    const problems: string[] = [];
    const routes = this.discovery.getControllers().flatMap(({ metatype }) => {
      return typeof metatype === 'function' ? this.ofController(metatype as Type, problems) : [];
    });
    const there = new Set(routes.map(({ method, path }) => `${method} ${path}`));
    for (const line of Object.keys(POLICY)) if (!there.has(line)) problems.push(`${line}: in the policy, but no route`);
    if (problems.length > 0) throw new Error(`routes and policy differ:\n${problems.join('\n')}`);
    return routes;
  }

  private ofController(controller: Type, problems: string[]): Route[] {
    const prototype = controller.prototype as Record<string, () => unknown>;
    return this.scanner.getAllMethodNames(prototype).flatMap((handler) => {
      const target = prototype[handler];
      if (!target || !Reflect.hasMetadata(METHOD_METADATA, target)) return [];
      const method = RequestMethod[Reflect.getMetadata(METHOD_METADATA, target) as number] ?? '';
      const path = joined(Reflect.getMetadata(PATH_METADATA, controller), Reflect.getMetadata(PATH_METADATA, target));
      const access = accessOf(method, path);
      const answers = answeredBy(target);
      if (!access) problems.push(`${method} ${path}: not in the policy`);
      if (!answers) problems.push(`${method} ${path}: declares no answer`);
      if (!access || !answers) return [];
      const status = Reflect.getMetadata(HTTP_CODE_METADATA, target) as number | undefined;
      return {
        method,
        path,
        controller: controller.name,
        handler,
        status: status ?? (method === 'POST' ? 201 : 200),
        access,
        accepts: acceptedBy(target),
        answers,
      };
    });
  }
}

const joined = (...parts: unknown[]): string => {
  const cleaned = parts.map((part) => String(part).replace(/^\/+|\/+$/g, ''));
  return `/${cleaned.filter(Boolean).join('/')}`;
};
