import { Module } from '@nestjs/common';
import { MongooseModule } from '@nestjs/mongoose';
import { MAIL_MODEL, mailSchema } from './mail.schema.js';
import { MailerService } from './mailer.service.js';
import { MailsRepository } from './mails.repository.js';
import { Smtp } from './smtp.js';

@Module({
  imports: [MongooseModule.forFeature([{ name: MAIL_MODEL, schema: mailSchema }])],
  providers: [MailsRepository, MailerService, Smtp],
  exports: [MailsRepository, MailerService],
})
export class NotificationsModule {}
