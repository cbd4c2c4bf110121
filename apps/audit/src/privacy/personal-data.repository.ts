import { Injectable } from '@nestjs/common';
import { InjectConnection } from '@nestjs/mongoose';
import type { Connection } from 'mongoose';

/** Collections of other processes whose rows name their user in `userId` and go with him. */
const COLLECTIONS = ['face_templates', 'consents', 'face_attempts'] as const;

@Injectable()
export class PersonalDataRepository {
  constructor(@InjectConnection() private readonly connection: Connection) {}

  async removeOfUser(userId: string): Promise<void> {
    for (const name of COLLECTIONS) await this.connection.collection(name).deleteMany({ userId });
  }
}
