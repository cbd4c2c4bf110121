import { deserialize, type Document, serialize } from 'bson';
import net from 'node:net';
import { answerOf, requestFrame, split } from './wire.js';

/** One command to a server on the loopback interface, without a driver: enough to ask whether it is ready. */
export function mongoCommand(port: number, command: Document, timeoutMs = 2000): Promise<Document> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () =>
      socket.write(requestFrame(serialize({ ...command, $db: 'admin' }))),
    );
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(timeoutMs, () => fail(new Error('no answer')));
    socket.once('error', fail).once('close', () => reject(new Error('connection closed')));
    const onMessage = (message: Buffer) => {
      socket.destroy();
      resolve(deserialize(answerOf(message)));
    };
    socket.on(
      'data',
      split(onMessage, () => fail(new Error('not a MongoDB server'))),
    );
  });
}
