import { Module } from '@nestjs/common';
import { MailRepository } from './mail.repository.js';

@Module({ providers: [MailRepository], exports: [MailRepository] })
export class MailModule {}
