import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { createTransport } from 'nodemailer';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';
import type { RenderedMail } from './render.js';

/** The one place that speaks SMTP. */
@Injectable()
export class Smtp implements OnApplicationShutdown {
  private readonly transport;

  constructor(@Inject(AUDIT_CONFIG) private readonly config: Pick<AuditConfig, 'SMTP_URL' | 'MAIL_FROM'>) {
    this.transport = createTransport({
      url: config.SMTP_URL,
      connectionTimeout: 5_000,
      greetingTimeout: 5_000,
      socketTimeout: 10_000,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  }

  /** Resolves when the server has taken the mail. `to` is one address, already checked; it is never parsed as a list. */
  async send(mail: RenderedMail & { to: string; messageId: string }): Promise<void> {
    await this.transport.sendMail({
      from: this.config.MAIL_FROM,
      to: { name: '', address: mail.to },
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
      messageId: mail.messageId,
      headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
    });
  }

  onApplicationShutdown(): void {
    this.transport.close();
  }
}
