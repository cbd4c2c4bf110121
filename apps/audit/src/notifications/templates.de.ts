import { ADDRESS_LIMITS, GUARD_LIMITS, type MailTemplate } from '#contracts';
import { blocksOf, link, paragraph, utc } from './blocks.js';
import { RECOVERY_CODE_MINUTES, type TEMPLATES } from './templates.js';

const { facts, ifNotYou, undo, whatToDo, when } = blocksOf({
  device: 'Gerät',
  unknownDevice: 'unbekanntes Gerät',
  address: 'Netzadresse',
  time: 'Zeit',
  ifYou: 'Wenn Sie das waren, ist nichts zu tun.',
  ifNot: 'Wenn nicht:',
  ifNotPlease: 'Wenn nicht, bitte:',
  andPlease: 'Und bitte:',
  undo: 'Dieser Link beendet alle Sitzungen, sperrt das Konto, bis Sie ein neues Passwort wählen, und entfernt ein eben erst hinterlegtes Gesicht; er gilt 7 Tage, einmal:',
  whatToDo: ['ändern Sie Ihr Passwort', 'beenden Sie Ihre anderen Sitzungen'],
  atLast: 'sagen Sie dem Betreiber des Dienstes Bescheid, wenn Sie sich nicht erklären können, was geschehen ist',
});

const elsewhere = (fresh: string | undefined): string => {
  if (fresh === 'device') return 'auf einem Gerät, das dafür noch nicht benutzt wurde.';
  if (fresh === 'network') return 'aus einem Netz, das dafür noch nicht benutzt wurde.';
  return 'auf einem Gerät und aus einem Netz, die dafür noch nicht benutzt wurden.';
};

/** What each mail says in German. */
export const GERMAN: { readonly [T in MailTemplate]: (typeof TEMPLATES)[T]['content'] } = {
  email_verify: (_params, { publicUrl }, token) => ({
    subject: 'Bestätigen Sie Ihre E-Mail-Adresse',
    blocks: [
      paragraph(
        'Bitte bestätigen Sie, dass diese Adresse Ihnen gehört. Nur mit einer bestätigten Adresse lässt sich der Zugang wiederherstellen.',
      ),
      link('Öffnen Sie diesen Link:', publicUrl, 'verify-email', token),
      paragraph('Wenn Ihre Anwendung nach dem Token selbst fragt, lautet es:'),
      { kind: 'code', code: token },
      paragraph('Wenn Sie sich nicht registriert haben, beachten Sie diese Nachricht nicht.'),
    ],
  }),

  email_change_notice: ({ hours, ...from }, { createdAt, publicUrl }, { sealed, undo: notMe }) => ({
    subject: 'Eine andere E-Mail-Adresse wurde verlangt',
    blocks: [
      paragraph(
        `Jemand, der in Ihrem Konto angemeldet ist, will dafür eine andere E-Mail-Adresse. Sie wechselt ${hours ?? 24} Stunden nachdem die neue Adresse bestätigt ist.`,
      ),
      facts(from, createdAt),
      link('Wenn Sie das nicht waren, behalten Sie diese Adresse:', publicUrl, 'cancel-email-change', sealed),
      undo(publicUrl, notMe),
      ...whatToDo(),
    ],
  }),

  email_change_confirm: ({ hours, ...from }, { createdAt, publicUrl }, token) => ({
    subject: 'Bestätigen Sie Ihre neue E-Mail-Adresse',
    blocks: [
      paragraph('Bitte bestätigen Sie, dass diese Adresse Ihnen gehört.'),
      facts(from, createdAt),
      link('Öffnen Sie diesen Link:', publicUrl, 'confirm-email-change', token),
      paragraph(`Sie wird ${hours ?? 24} Stunden später die Adresse Ihres Kontos.`),
      paragraph('Wenn Sie nicht wissen, worum es geht, beachten Sie diese Nachricht nicht.'),
    ],
  }),

  email_changed: (_params, { createdAt, publicUrl }, token) => ({
    subject: 'Die E-Mail-Adresse Ihres Kontos wurde geändert',
    blocks: [
      paragraph('Die angekündigte Änderung ist vollzogen: Dies ist von jetzt an die Adresse Ihres Kontos.'),
      when(createdAt),
      ...ifNotYou(undo(publicUrl, token)),
    ],
  }),

  email_changed_undo: (_params, { createdAt, publicUrl }, token) => ({
    subject: 'Ihr Konto hat jetzt eine andere E-Mail-Adresse',
    blocks: [
      paragraph('Die angekündigte Änderung ist vollzogen: Nachrichten gehen nur noch an die neue Adresse.'),
      when(createdAt),
      paragraph('Wenn Sie das waren, ist nichts zu tun. Wenn nicht:'),
      link(
        `Dieser Link gibt Ihrem Konto diese Adresse zurück und beendet alle Sitzungen; er gilt ${ADDRESS_LIMITS.undoDays} Tage, einmal:`,
        publicUrl,
        'undo-email-change',
        token,
      ),
    ],
  }),

  email_undone: ({ hours, ...from }, { createdAt, publicUrl }, token) => ({
    subject: 'Ihr Konto hat diese E-Mail-Adresse zurück',
    blocks: [
      paragraph(
        'Der Wechsel der Adresse wurde mit einem Link aus diesem Postfach rückgängig gemacht. Alle Sitzungen wurden beendet.',
      ),
      facts(from, createdAt),
      paragraph(
        `Die andere Adresse kann ${hours ?? ADDRESS_LIMITS.holdHours} Stunden lang widersprechen. So lange wird kein Passwort per Mail zurückgesetzt, kein Code zur Wiederherstellung verschickt, und ein Gesicht des Kontos bestätigt nichts. Lassen Sie danach Ihr Passwort zurücksetzen.`,
      ),
      ...ifNotYou(undo(publicUrl, token), 'prüfen Sie, wer Ihre Mail lesen kann'),
    ],
  }),

  email_objection: ({ hours, ...from }, { createdAt, publicUrl }, token) => ({
    subject: 'Ihr Konto hat wieder eine andere E-Mail-Adresse',
    blocks: [
      paragraph(
        'Wer die Adresse liest, die das Konto vorher hatte, hat sie zurückgenommen. Alle Sitzungen wurden beendet.',
      ),
      facts(from, createdAt),
      paragraph(
        'Wenn das Konto nicht Ihnen gehört oder Sie das waren, ist nichts zu tun. Wenn das Konto Ihnen gehört:',
      ),
      link(
        `Widersprechen Sie binnen ${hours ?? ADDRESS_LIMITS.holdHours} Stunden. Dann kann sich niemand anmelden, bis der Betreiber des Dienstes entschieden hat, wem das Konto gehört:`,
        publicUrl,
        'object-email-change',
        token,
      ),
    ],
  }),

  email_contested: (_params, { createdAt }) => ({
    subject: 'Zwei Postfächer beanspruchen Ihr Konto',
    blocks: [
      paragraph('Die Adresse des Kontos wurde zurückgenommen, und die andere Adresse hat widersprochen.'),
      when(createdAt),
      paragraph(
        'Niemand kann sich anmelden, bis der Betreiber des Dienstes entschieden hat, wem das Konto gehört. Bitte melden Sie sich bei ihm und halten Sie bereit, womit Sie sich ausweisen.',
      ),
    ],
  }),

  email_decided: (_params, { createdAt, publicUrl }, token) => ({
    subject: 'Ihr Konto gehört zu dieser E-Mail-Adresse',
    blocks: [
      paragraph('Der Betreiber des Dienstes hat entschieden, wem das Konto gehört: Ihnen.'),
      when(createdAt),
      paragraph('Bitte lassen Sie das Passwort zurücksetzen, bevor Sie sich anmelden: Das bisherige gilt nicht mehr.'),
      ...ifNotYou(undo(publicUrl, token)),
    ],
  }),

  email_decided_other: (_params, { createdAt }) => ({
    subject: 'Das Konto gehört zu einer anderen E-Mail-Adresse',
    blocks: [
      paragraph('Der Betreiber des Dienstes hat entschieden, wem das Konto gehört: der anderen Adresse.'),
      when(createdAt),
      paragraph(
        'Wenn das falsch ist, sagen Sie ihm bitte Bescheid. An diese Adresse kommt keine weitere Mail zu diesem Konto.',
      ),
    ],
  }),

  registration: (_params, { publicUrl }, token) => ({
    subject: 'Schließen Sie Ihre Registrierung ab',
    blocks: [
      paragraph(
        'Jemand hat sich mit dieser Adresse registriert. Wenn Sie das waren, wählen Sie ein Passwort, und das Konto ist Ihres.',
      ),
      link('Öffnen Sie diesen Link, er gilt 48 Stunden, einmal:', publicUrl, 'finish-registration', token),
      paragraph('Wenn Ihre Anwendung nach dem Token selbst fragt, lautet es:'),
      { kind: 'code', code: token },
      paragraph(
        'Wenn Sie sich nicht registriert haben, beachten Sie diese Nachricht nicht: Ohne diesen Link kann sich niemand anmelden.',
      ),
    ],
  }),

  account_exists: () => ({
    subject: 'Sie haben schon ein Konto',
    blocks: [
      paragraph(
        'Jemand wollte sich mit dieser Adresse registrieren. Es gibt mit ihr schon ein Konto, und es ist unverändert.',
      ),
      paragraph(
        'Wenn Sie das waren, melden Sie sich an oder lassen Sie ein vergessenes Passwort zurücksetzen. Wenn nicht, ist nichts zu tun.',
      ),
    ],
  }),

  account_invite: (_params, { publicUrl }, token) => ({
    subject: 'Sie sind eingeladen',
    blocks: [
      paragraph('Für Sie wurde ein Konto angelegt. Wählen Sie ein Passwort, und es ist Ihres.'),
      link('Öffnen Sie diesen Link, er gilt 7 Tage:', publicUrl, 'accept-invitation', token),
    ],
  }),

  password_reset: (_params, { publicUrl }, token) => ({
    subject: 'Wählen Sie ein neues Passwort',
    blocks: [
      paragraph(
        'Ein neues Passwort wurde verlangt. An Ihrem Gesicht ändert es nichts, und ein gesperrtes Gesicht bleibt gesperrt.',
      ),
      link('Öffnen Sie diesen Link, er gilt eine Stunde, einmal:', publicUrl, 'reset-password', token),
      paragraph(
        'Wenn Sie es nicht verlangt haben, beachten Sie diese Nachricht nicht: Ihr Passwort bleibt, wie es ist.',
      ),
    ],
  }),

  login_link: (_params, { publicUrl }, token) => ({
    subject: 'Melden Sie sich an, während andere Ihr Konto versuchen',
    blocks: [
      paragraph(
        'Ein Link wurde verlangt, mit dem Sie sich mit Ihrem Passwort anmelden können, wie oft andere es auch versucht haben.',
      ),
      link('Öffnen Sie diesen Link, er gilt eine Stunde, für einen Versuch:', publicUrl, 'log-in', token),
      paragraph('Wenn Ihre Anwendung nach dem Token selbst fragt, lautet es:'),
      { kind: 'code', code: token },
      paragraph(
        'Wenn Sie ihn nicht verlangt haben, beachten Sie diese Nachricht nicht: Ohne Ihr Passwort öffnet der Link nichts.',
      ),
    ],
  }),

  login_new: ({ fresh, ...from }, { createdAt, publicUrl }, token) => ({
    subject: 'Eine Anmeldung an Ihrem Konto von anderswo',
    blocks: [
      paragraph(`Jemand hat sich mit Ihrem Passwort an Ihrem Konto angemeldet, ${elsewhere(fresh)}`),
      facts(from, createdAt),
      ...ifNotYou(undo(publicUrl, token)),
    ],
  }),

  password_changed: (from, { createdAt, publicUrl }, token) => ({
    subject: 'Das Passwort Ihres Kontos wurde geändert',
    blocks: [
      paragraph('Für Ihr Konto gilt von jetzt an ein neues Passwort. Andere Sitzungen wurden beendet.'),
      facts(from, createdAt),
      ...ifNotYou(undo(publicUrl, token), 'prüfen Sie, wer Ihre Mail lesen kann'),
    ],
  }),

  face_unlocked: ({ at }, { createdAt, publicUrl }, token) => ({
    subject: 'Die Sperre Ihres Gesichts wurde aufgehoben',
    blocks: [
      paragraph('Die Gesichtserkennung Ihres Kontos geht wieder: Der Betreiber des Dienstes hat ihre Sperre beendet.'),
      when(at ?? createdAt),
      paragraph('Wenn Sie nicht darum gebeten haben:'),
      undo(publicUrl, token),
      ...whatToDo(),
    ],
  }),

  account_disabled: ({ at }, { createdAt }) => ({
    subject: 'Ihr Konto wurde gesperrt',
    blocks: [
      paragraph(
        'Der Betreiber des Dienstes hat Ihr Konto geschlossen: Seine Sitzungen wurden beendet, und niemand kann sich anmelden.',
      ),
      when(at ?? createdAt),
      paragraph('Wenn Sie nicht wissen, warum, fragen Sie den Betreiber des Dienstes.'),
    ],
  }),

  account_enabled: ({ at }, { createdAt, publicUrl }, token) => ({
    subject: 'Ihr Konto ist wieder offen',
    blocks: [
      paragraph('Der Betreiber des Dienstes hat Ihr Konto wieder geöffnet: Sie können sich anmelden wie zuvor.'),
      when(at ?? createdAt),
      paragraph('Wenn Sie das nicht erwartet haben:'),
      undo(publicUrl, token),
      ...whatToDo(),
    ],
  }),

  roles_changed: ({ at, added, removed }, { createdAt }) => ({
    subject: 'Ihre Rollen wurden geändert',
    blocks: [
      paragraph(
        'Der Betreiber des Dienstes hat Ihrem Konto Rollen gegeben oder genommen. Seine Sitzungen wurden beendet: Melden Sie sich neu an.',
      ),
      when(at ?? createdAt, { Gegeben: added, Genommen: removed }),
      paragraph('Wenn Sie nicht wissen, warum, fragen Sie den Betreiber des Dienstes.'),
    ],
  }),

  role_request: ({ roles, userId, by, requestId }, { createdAt }) => ({
    subject: 'Rollen wurden beantragt',
    blocks: [
      paragraph(
        'Eine Administratorin oder ein Administrator hat Rollen für ein Konto beantragt. Jemand anderes mit dieser Rolle muss zustimmen.',
      ),
      {
        kind: 'facts',
        facts: [
          ['Rollen', roles ?? 'unbekannt'],
          ['Konto', userId ?? 'unbekannt'],
          ['Beantragt von', by ?? 'unbekannt'],
          ['Antrag', requestId ?? 'unbekannt'],
          ['Zeit', utc(createdAt)],
        ],
      },
      paragraph(
        'Der Antrag endet nach 72 Stunden von selbst. Hätte niemand ihn stellen sollen, lehnen Sie ihn ab und gehen Sie der Sache nach.',
      ),
    ],
  }),

  re_enrolment_reminder: ({ days, until }) => ({
    subject: 'Ihr Gesicht muss bald neu hinterlegt werden',
    blocks: [
      paragraph(
        `Gesichter ändern sich, deshalb gilt ein hinterlegtes Gesicht nur eine begrenzte Zeit. Ihres gilt noch ${days === 1 ? 'einen Tag' : `${days ?? 14} Tage`}${until ? `, bis ${utc(until)}` : ''}.`,
      ),
      paragraph(
        'Bitte melden Sie sich an, bestätigen Sie mit Ihrem Gesicht und hinterlegen Sie es neu; das dauert eine halbe Minute.',
      ),
      paragraph(
        'Nach diesem Tag braucht es zuerst einen Code per Mail, und das neue Gesicht zählt erst nach einem Tag.',
      ),
    ],
  }),

  face_locked: ({ lockMinutes, lockedUntil, ...from }, { createdAt, publicUrl }, token) => {
    const minutes = lockMinutes ?? GUARD_LIMITS.lockMinutes;
    const until = lockedUntil ?? new Date((from.at ?? createdAt).getTime() + minutes * 60_000);
    return {
      subject: 'Die Gesichtserkennung Ihres Kontos ist gesperrt',
      blocks: [
        paragraph(
          `Mehrere Versuche hintereinander passten nicht zu Ihrem Gesicht, deshalb ist die Gesichtserkennung für ${minutes} Minuten gesperrt.`,
        ),
        facts(from, createdAt, [
          ['Gesperrt für', `${minutes} Minuten`],
          ['Gesperrt bis', utc(until)],
        ]),
        paragraph(
          'Waren Sie es? Dann ist nichts zu tun: Die Sperre endet von selbst. Ihr Passwort gilt weiter, ebenso der Weg über einen Code per Mail.',
        ),
        paragraph('Waren Sie es nicht? Dann kennt jemand anders Ihr Passwort.'),
        undo(publicUrl, token),
        ...whatToDo(),
      ],
    };
  },

  face_enrolled: ({ heldUntil, ...from }, { createdAt, publicUrl }, token) => ({
    subject: 'Für Ihr Konto wurde ein Gesicht hinterlegt',
    blocks: [
      paragraph(
        'Für Ihr Konto wurde ein Gesicht hinterlegt. Von jetzt an lässt sich damit bestätigen, dass Sie es sind.',
      ),
      facts(from, createdAt, heldUntil ? [['Gilt voll ab', utc(heldUntil)]] : []),
      ...ifNotYou(undo(publicUrl, token), 'entfernen Sie das Gesicht und hinterlegen Sie Ihres neu'),
    ],
  }),

  face_removed: (from, { createdAt, publicUrl }, token) => ({
    subject: 'Das Gesicht Ihres Kontos wurde entfernt',
    blocks: [
      paragraph(
        'Das Gesicht Ihres Kontos wurde entfernt. Was danach fragt, bleibt geschlossen, bis Sie es neu hinterlegen.',
      ),
      facts(from, createdAt),
      ...ifNotYou(undo(publicUrl, token)),
    ],
  }),

  face_demanded: ({ at }, { createdAt }) => ({
    subject: 'Ihr Gesicht muss neu erfasst werden',
    blocks: [
      paragraph(
        'Der Betreiber des Dienstes verlangt eine neue Erfassung: Das Gesicht Ihres Kontos gilt nicht mehr. Was danach fragt, bleibt geschlossen, bis Sie es neu erfassen.',
      ),
      when(at ?? createdAt),
      paragraph(
        'Bitte melden Sie sich an und erfassen Sie es neu. Wenn Sie nicht wissen, warum, fragen Sie den Betreiber.',
      ),
    ],
  }),

  recovery_code: (from, { createdAt, publicUrl }, { sealed: code, undo: notMe }) => ({
    subject: 'Ihr Code zur Wiederherstellung',
    blocks: [
      paragraph('Mit diesem Code geht es ohne Gesichtserkennung weiter:'),
      { kind: 'code', code },
      paragraph(`Er gilt ${RECOVERY_CODE_MINUTES} Minuten, einmal, in der Sitzung, die ihn verlangt hat.`),
      paragraph(
        'Geben Sie ihn niemals weiter. Niemand von uns fragt danach, weder am Telefon noch per Mail oder Chat.',
      ),
      facts(from, createdAt),
      paragraph('Haben Sie ihn nicht verlangt? Dann kennt jemand anders Ihr Passwort.'),
      undo(publicUrl, notMe),
    ],
  }),

  recovery_used: (from, { createdAt, publicUrl }, token) => ({
    subject: 'Für Ihr Konto wurde ein Code zur Wiederherstellung benutzt',
    blocks: [
      paragraph(
        'Eine Sitzung wurde mit einem Code per Mail statt mit Ihrem Gesicht bestätigt. Das alte Gesicht zählt nicht mehr; bitte hinterlegen Sie es neu.',
      ),
      facts(from, createdAt),
      ...ifNotYou(undo(publicUrl, token), 'prüfen Sie, wer Ihre Mail lesen kann'),
    ],
  }),

  many_failures: ({ count, days, ...from }, { createdAt, publicUrl }, token) => ({
    subject: 'Viele misslungene Versuche der Gesichtserkennung',
    blocks: [
      paragraph(
        `In den letzten ${days ?? GUARD_LIMITS.strikeRingDays} Tagen passten ${count ?? GUARD_LIMITS.strikesForReview} Versuche nicht zu Ihrem Gesicht.`,
      ),
      facts(from, createdAt),
      ...ifNotYou(undo(publicUrl, token)),
    ],
  }),

  erasure_announced: ({ hours, ...from }, { createdAt, publicUrl }, { sealed, undo: notMe }) => ({
    subject: 'Ihr Konto wird gelöscht',
    blocks: [
      paragraph(
        `Jemand, der in Ihrem Konto angemeldet ist, hat seine Löschung verlangt. Die Vorlage Ihres Gesichts ist schon vernichtet; alles Übrige wird ${hours ?? 72} Stunden nach dieser Nachricht gelöscht. Bis dahin können Sie das Konto benutzen, und seine Adresse bleibt, wie sie ist.`,
      ),
      facts(from, createdAt),
      link('Um das Konto zu behalten, öffnen Sie diesen Link:', publicUrl, 'cancel-erasure', sealed),
      ...ifNotYou(undo(publicUrl, notMe)),
    ],
  }),

  erasure_cancelled: (from, { createdAt, publicUrl }, token) => ({
    subject: 'Ihr Konto wird nicht gelöscht',
    blocks: [
      paragraph(
        'Die Löschung Ihres Kontos wurde gestoppt. Das Konto besteht weiter; Ihr Gesicht wurde entfernt und muss neu erfasst werden.',
      ),
      facts(from, createdAt),
      ...ifNotYou(undo(publicUrl, token)),
    ],
  }),

  erasure_completed: (_params, { createdAt }) => ({
    subject: 'Ihre Daten wurden gelöscht',
    blocks: [
      paragraph(
        'Ihr Konto, Ihr Gesichtsmuster, Ihre Einwilligungen und die persönlichen Daten in Ihren Sicherheitsereignissen wurden wie verlangt gelöscht.',
      ),
      when(createdAt),
      paragraph('Es bleibt, dass etwas geschah, unter einer zufälligen Kennung, die nichts mit Ihnen verbindet.'),
      paragraph('Auch diese Adresse wird mit dieser Nachricht gelöscht. Weitere Mails kommen nicht.'),
    ],
  }),
};
