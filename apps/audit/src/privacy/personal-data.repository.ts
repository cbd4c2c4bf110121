import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';
import { NOT_ME_COLLECTION } from '#contracts';

/** Collections whose rows go with their user, and the field that names him. */
const COLLECTIONS = {
  face_templates: 'userId',
  consents: 'userId',
  face_attempts: 'userId',
  link_tokens: 'userId',
  [NOT_ME_COLLECTION]: 'userId',
  recovery_codes: '_id',
} as const;

@Injectable()
export class PersonalDataRepository {
  constructor(@InjectConnection() private readonly connection: Connection) {}

  async removeOfUser(userId: string): Promise<void> {
    for (const [name, field] of Object.entries(COLLECTIONS)) {
      await this.connection.collection<Record<string, unknown>>(name).deleteMany({ [field]: { $eq: userId } });
    }
  }
}
