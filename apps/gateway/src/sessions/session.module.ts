import { Module } from '@nestjs/common';
import { AddressDisputes, LinkTokenRepository, UserRepository } from '#accounts';
import { Mails } from '../mail/mail.module.js';
import { ClientTokens } from './client-tokens.js';
import { CredentialRenewal } from './credential-renewal.js';
import { LostAnswers } from './lost-answers.js';
import { SessionService } from './session.service.js';

@Module({
  providers: [
    ClientTokens,
    CredentialRenewal,
    LostAnswers,
    SessionService,
    {
      provide: AddressDisputes,
      inject: [UserRepository, LinkTokenRepository, CredentialRenewal, Mails],
      useFactory: (users: UserRepository, links: LinkTokenRepository, renewal: CredentialRenewal, mails: Mails) =>
        new AddressDisputes({
          users,
          links,
          renew: (userId, change, origin, follows) => renewal.renew(userId, change, origin, { follows }),
          compose: (mail, origin) => mails.compose({ ...mail, origin }),
        }),
    },
  ],
  exports: [AddressDisputes, ClientTokens, CredentialRenewal, LostAnswers, SessionService],
})
export class SessionModule {}
