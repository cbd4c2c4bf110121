import { BadRequestException, NotFoundException } from '@nestjs/common';
import { mongo } from 'mongoose';
import { TransportDownError } from '#queue';
import { toProblem } from './faults.js';
import { Problem } from './problem.js';

const fastifyError = (code: string, statusCode: number): Error => Object.assign(new Error('x'), { code, statusCode });

describe('faults become problems', () => {
  it.each([
    ['Redis away', new TransportDownError('x'), 'unavailable'],
    ['no primary', new mongo.MongoServerSelectionError('x', {} as never), 'unavailable'],
    ['a cut connection', new mongo.MongoNetworkError('x'), 'unavailable'],
    ['over its time', new mongo.MongoServerError({ message: 'x', code: 50 }), 'unavailable'],
    ['an operator error', new mongo.MongoServerError({ message: 'x', code: 2 }), 'internal'],
    ['a driver misused', new mongo.MongoAPIError('x'), 'internal'],
    ['an outage as the cause', new Error('x', { cause: new TransportDownError('y') }), 'unavailable'],
    ['a bug', new TypeError('secret'), 'internal'],
    ['a thrown text', 'secret', 'internal'],
    ['a thrown nothing', undefined, 'internal'],
    ['a body too large', fastifyError('FST_ERR_CTP_BODY_TOO_LARGE', 413), 'payload_too_large'],
    ['a wrong content type', fastifyError('FST_ERR_CTP_INVALID_MEDIA_TYPE', 415), 'unsupported_media_type'],
    ['no JSON', fastifyError('FST_ERR_CTP_INVALID_JSON_BODY', 400), 'invalid_request'],
    ['a poisoned JSON', Object.assign(new SyntaxError('x'), { statusCode: 400 }), 'invalid_request'],
    ['a route that is not there', new NotFoundException(), 'not_found'],
    ['what Nest refuses', new BadRequestException(), 'invalid_request'],
  ])('%s', (_, error, code) => {
    expect(toProblem(error).code).toBe(code);
  });

  it('passes a problem through as it is', () => {
    const problem = new Problem('face_locked');
    expect(toProblem(problem)).toBe(problem);
  });
});
