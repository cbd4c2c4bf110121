// Run by the image's own node, as the image's own user, on a read-only root: what can be written, and what is there.
const fs = require('node:fs');
const path = require('node:path');

const OTHERS = new Set(['/proc', '/sys', '/dev', '/look']);
const ELF = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const MACHINES = { x64: 62, arm64: 183 };

const found = {
  uid: process.getuid(),
  gid: process.getgid(),
  folders: 0,
  files: 0,
  writable: [],
  programs: [],
  foreign: [],
  privileged: [],
};

/** A file is made where it can be; the answer should be EROFS, or EACCES where there is no way into the folder. */
function tryToWrite(folder) {
  const file = path.join(folder, 'written-by-look');
  try {
    fs.writeFileSync(file, '');
    fs.rmSync(file);
    found.writable.push(folder);
  } catch (error) {
    if (error.code !== 'EROFS' && error.code !== 'EACCES') found.writable.push(`${folder}: ${error.code}`);
  }
}

function lookAt(file, stat) {
  found.files++;
  if (stat.mode & 0o6000) found.privileged.push(file);
  if (stat.size < 64) return;
  let head;
  try {
    const descriptor = fs.openSync(file, 'r');
    head = Buffer.alloc(20);
    fs.readSync(descriptor, head, 0, 20, 0);
    fs.closeSync(descriptor);
  } catch {
    return; // readable by root only
  }
  if (head.subarray(0, 4).equals(ELF)) {
    if (head[4] !== 2 || head.readUInt16LE(18) !== MACHINES[process.arch]) found.foreign.push(file);
    if (stat.mode & 0o111 && !/\.(so(\.[\d.]+)?|node)$/.test(file)) found.programs.push(file);
  } else if (/^(MZ|\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe)/.test(head.toString('latin1'))) found.foreign.push(file);
  else if (head.toString('latin1').startsWith('#!') && stat.mode & 0o111 && !file.includes('/node_modules/'))
    found.programs.push(file);
}

function walk(folder) {
  found.folders++;
  tryToWrite(folder);
  let names = [];
  try {
    names = fs.readdirSync(folder);
  } catch {
    return; // root's own
  }
  for (const name of names) {
    const file = path.join(folder, name);
    if (OTHERS.has(file)) continue;
    const stat = fs.lstatSync(file);
    if (stat.isDirectory()) walk(file);
    else if (stat.isFile()) lookAt(file, stat);
  }
}

walk('/');
for (const name of ['sh', 'bash', 'dash', 'busybox', 'npm', 'npx', 'corepack', 'apt-get', 'dpkg', 'curl', 'openssl'])
  for (const folder of ['/bin', '/usr/bin', '/usr/local/bin', '/sbin', '/usr/sbin'])
    if (fs.existsSync(path.join(folder, name))) found.programs.push(path.join(folder, name));
process.stdout.write(JSON.stringify(found));
