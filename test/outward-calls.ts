import { spawnSync } from 'node:child_process';
import fs from 'node:fs';

/** strace is part of the machines on which this is looked at: it is not installed for the product. */
export const hasStrace = spawnSync('strace', ['-V']).status === 0;

/** Of strace: follows threads and children, writes what goes to a network. */
export const TRACE_CALLS = ['-f', '-qq', '-e', 'trace=connect,sendto,sendmsg,sendmmsg'];

/** What a process asks the network for: system calls that name an address other than this machine's. */
const OUTWARD = /^\d+ +(connect|sendto|sendmsg|sendmmsg)\(.*sa_family=AF_INET6?\b/;
const LOOPBACK = /inet_addr\("127\.|inet_pton\(AF_INET6, "::1"/;
/** A name server may listen on this machine: a question to it is a look-up like any other. */
export const LOOKUP = /sin6?_port=htons\(53\)/;

/** The lines of that trace which are look-ups of names or go to another machine. */
export function outwardCalls(traceFile: string): string[] {
  const lines = fs.existsSync(traceFile) ? fs.readFileSync(traceFile, 'utf8').split('\n') : [];
  return lines.filter((line) => OUTWARD.test(line) && (LOOKUP.test(line) || !LOOPBACK.test(line)));
}
