import type { MailLocale } from '#contracts';

/** A mail before it is text or HTML. Strings are plain text, whoever wrote them: both renderings make them harmless. */
export interface MailContent {
  /** A constant: nothing from outside may enter a header. */
  subject: string;
  blocks: Block[];
}
export type Block =
  | { kind: 'paragraph'; text: string }
  | { kind: 'facts'; facts: readonly (readonly [label: string, value: string])[] }
  | { kind: 'list'; items: readonly string[] }
  | { kind: 'link'; label: string; url: string }
  | { kind: 'code'; code: string };

export interface RenderedMail {
  subject: string;
  text: string;
  html: string;
}

export const render = ({ subject, blocks }: MailContent, locale: MailLocale): RenderedMail => ({
  subject,
  text: [...blocks.map(textOf), FOOTER[locale]].join('\n\n') + '\n',
  html:
    '<!doctype html><html lang="' +
    locale +
    '"><head><meta charset="utf-8"></head>' +
    '<body style="font-family:sans-serif;max-width:36em;margin:auto;line-height:1.5">' +
    [...blocks, { kind: 'paragraph', text: FOOTER[locale] } as const].map(htmlOf).join('') +
    '</body></html>',
});

const FOOTER: Record<MailLocale, string> = {
  en: 'This is an automatic message about the security of your account. Nobody reads answers to it.',
  de: 'Dies ist eine automatische Nachricht zur Sicherheit Ihres Kontos. Antworten darauf liest niemand.',
};

/** One line of plain text: control, format (bidi overrides, zero-width), lone surrogate and line-breaking characters become spaces. */
export const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' ').trim();

export const escapeHtml = (text: string): string =>
  plain(text).replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);

function textOf(block: Block): string {
  switch (block.kind) {
    case 'paragraph':
      return plain(block.text);
    case 'facts':
      return block.facts.map(([label, value]) => `  ${plain(label)}: ${plain(value)}`).join('\n');
    case 'list':
      return block.items.map((item) => `  - ${plain(item)}`).join('\n');
    case 'link':
      return `${plain(block.label)}\n\n  ${plain(block.url)}`;
    case 'code':
      return `  ${plain(block.code)}`;
  }
}

function htmlOf(block: Block): string {
  switch (block.kind) {
    case 'paragraph':
      return `<p>${escapeHtml(block.text)}</p>`;
    case 'facts': {
      const rows = block.facts.map(
        ([label, value]) => `<tr><td>${escapeHtml(label)}</td><td><strong>${escapeHtml(value)}</strong></td></tr>`,
      );
      return `<table cellpadding="4">${rows.join('')}</table>`;
    }
    case 'list':
      return `<ul>${block.items.map((item) => `<li>${escapeHtml(item)}</li>`).join('')}</ul>`;
    case 'link':
      return `<p>${escapeHtml(block.label)}<br><a href="${escapeHtml(block.url)}">${escapeHtml(block.url)}</a></p>`;
    case 'code':
      return `<p style="font-family:monospace;font-size:1.4em;overflow-wrap:anywhere">${escapeHtml(block.code)}</p>`;
  }
}
