import { PassThrough } from 'node:stream';
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleDestroy } from '@nestjs/common';
import { createTransport } from 'nodemailer';
import { AUDIT_CONFIG, type AuditConfig } from '../config.js';
import type { RenderedMail } from './render.js';

const MINUTE_MS = 60_000;
/**
 * How long the server may take: 5 minutes for its greeting, 10 for any answer (RFC 5321, 4.5.3.2, asks for 5, and for 10
 * after the final dot). Who hangs up earlier and comes again delivers the same mail twice.
 */
const GREETING_MS = 5 * MINUTE_MS;
/** Of the whole of connecting: look-up, TCP, greeting, TLS. */
const CONNECTING_MS = GREETING_MS + MINUTE_MS;
const ANSWER_MS = 10 * MINUTE_MS;
/** How long a process that ends waits for the answers it has asked for. */
const ENDING_MS = 10_000;

/** What became of a mail that was handed to the server. `reply` is its codes alone: the text may hold the address. */
export type Delivery =
  | { kind: 'taken' }
  /** 5yz to the recipient, or to the message: asking again changes nothing. */
  | { kind: 'refused'; reply: string }
  /** 5yz with an enhanced code X.7.z: a rule of the server, which its operator or ours may change. */
  | { kind: 'forbidden'; reply: string }
  /** The whole message was sent and no answer came: it may well have been taken. */
  | { kind: 'unanswered'; err: unknown }
  /** Everything else: 4yz, no connection, a log-in that fails. */
  | { kind: 'deferred'; err: unknown };

/** The one place that speaks SMTP. */
@Injectable()
export class Smtp implements OnModuleDestroy, OnApplicationShutdown {
  private readonly transport;
  /** Message-IDs of mails whose last byte has been read by the connection. */
  private readonly sentWhole = new Set<string>();
  private readonly ending = new AbortController();
  private timer: NodeJS.Timeout | undefined;

  constructor(@Inject(AUDIT_CONFIG) private readonly config: Pick<AuditConfig, 'SMTP_URL' | 'MAIL_FROM'>) {
    this.transport = createTransport({
      url: config.SMTP_URL,
      connectionTimeout: CONNECTING_MS,
      greetingTimeout: GREETING_MS,
      socketTimeout: ANSWER_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    this.transport.use('stream', ({ data, message }, done) => {
      message.transform(() => {
        const passing = new PassThrough();
        passing.once('end', () => this.sentWhole.add(String(data.messageId)));
        return passing;
      });
      done();
    });
  }

  /** `to` is one address, already checked; it is never parsed as a list. Lasts as long as the server takes to answer. */
  async send(mail: RenderedMail & { to: string; messageId: string }): Promise<Delivery> {
    const { signal } = this.ending;
    let stop: () => void = () => undefined;
    const ended = new Promise<never>((_, reject) => (stop = () => reject(new Error('the process ends'))));
    signal.addEventListener('abort', stop);
    try {
      signal.throwIfAborted();
      await Promise.race([this.hand(mail), ended]);
      return { kind: 'taken' };
    } catch (err) {
      return failureOf(err, this.sentWhole.has(mail.messageId));
    } finally {
      signal.removeEventListener('abort', stop);
      this.sentWhole.delete(mail.messageId);
    }
  }

  private async hand(mail: RenderedMail & { to: string; messageId: string }): Promise<void> {
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

  onModuleDestroy(): void {
    this.timer = setTimeout(() => this.ending.abort(), ENDING_MS);
  }

  onApplicationShutdown(): void {
    clearTimeout(this.timer);
    this.ending.abort();
    this.transport.close();
  }
}

/**
 * Replies to RCPT and DATA that speak of the conversation, whatever the recipient: a command that the server does not know
 * or did not expect (RFC 5321, 4.2.2), a log-in or TLS that it wants first (RFC 4954, 6; RFC 3207, 4).
 */
const OF_US = new Set([500, 502, 503, 504, 530, 538]);

/**
 * What a failed conversation means (RFC 5321, 4.2.1; RFC 3463). A 5yz to anything but the recipient and the message speaks
 * of us or of the server: nothing is known of the mail.
 */
export function failureOf(err: unknown, isSentWhole: boolean): Delivery {
  const { responseCode, command, response } = err as { responseCode?: number; command?: string; response?: string };
  if (!responseCode) return isSentWhole ? { kind: 'unanswered', err } : { kind: 'deferred', err };
  const speaksOfMail = command === 'RCPT TO' || command === 'DATA';
  if (responseCode < 500 || !speaksOfMail || OF_US.has(responseCode)) return { kind: 'deferred', err };
  const enhanced = /^\d{3}[ -](5\.\d{1,3}\.\d{1,3})\b/.exec(response ?? '')?.[1];
  const reply = enhanced === undefined ? String(responseCode) : `${responseCode} ${enhanced}`;
  return { kind: enhanced?.startsWith('5.7.') ? 'forbidden' : 'refused', reply };
}
