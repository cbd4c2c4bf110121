import { Module } from '@nestjs/common';
import { MongooseModule } from '@nestjs/mongoose';
import { MAIL_MODEL, mailSchema } from './mail.schema.js';
import { MailNudge } from './mail-nudge.js';
import { MailerService } from './mailer.service.js';
import { MailsRepository } from './mails.repository.js';
import { NotMeRepository } from './not-me.repository.js';
import { Smtp } from './smtp.js';

@Module({
  imports: [MongooseModule.forFeature([{ name: MAIL_MODEL, schema: mailSchema }])],
  providers: [MailsRepository, MailerService, MailNudge, NotMeRepository, Smtp],
  exports: [MailsRepository, MailerService, MailNudge],
})
export class NotificationsModule {}
