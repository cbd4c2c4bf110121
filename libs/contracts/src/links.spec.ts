import { isGrant, MAILED_LINK_KINDS, MAILED_LINKS } from './links.js';

describe('mailed links', () => {
  it('15.3: what gives something by the mailbox is a grant, what stops something a defence', () => {
    expect(MAILED_LINK_KINDS.filter(isGrant).sort()).toEqual([
      'confirm_new_email',
      'invite',
      'login',
      'registration',
      'reset_password',
      'verify_email',
    ]);
    expect(MAILED_LINK_KINDS.filter((kind) => !isGrant(kind)).sort()).toEqual([
      'cancel_erasure',
      'cancel_new_email',
      'not_me',
      'object_email_change',
      'undo_email_change',
    ]);
  });

  it('C2: the link that stops a change outlives the one that confirms it', () => {
    const { cancel_new_email, confirm_new_email } = MAILED_LINKS;
    expect(cancel_new_email.lifeMs).toBeGreaterThan(confirm_new_email.lifeMs);
  });
});
