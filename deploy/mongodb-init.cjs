// Run by mongosh (docker-compose.yml, mongodb-init) with what `countersign init` made: a replica set of one, and a user for
// each process. Run again it changes nothing but passwords that were made anew.
const fs = require('node:fs');

const FOLDER = '/run/secrets/countersign';
const WAIT_MS = 120_000;
const read = (name) => fs.readFileSync(`${FOLDER}/${name}`, 'utf8').trim();

const { database, users } = JSON.parse(read('users.json'));
const uri = `mongodb://root:${read('root-password')}@mongodb:27017/admin?directConnection=true&tls=true&tlsCAFile=${FOLDER}/ca.crt`;

/** The server starts twice when it is new: only the second time it listens on the network. */
function until(what, ask) {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    try {
      const answer = ask();
      if (answer) return answer;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    if (Date.now() > end) throw new Error(`${what}: not within ${WAIT_MS / 1000} s`);
    sleep(500);
  }
}

const admin = until('MongoDB answers', () => new Mongo(uri).getDB('admin'));
const isInitiated = () => {
  try {
    return admin.adminCommand({ replSetGetStatus: 1 }).ok === 1;
  } catch (error) {
    if (error.codeName === 'NotYetInitialized') return false;
    throw error;
  }
};
if (!isInitiated()) {
  admin.adminCommand({ replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host: 'mongodb:27017' }] } });
  print('replica set rs0 initiated');
}
until('the replica set has a primary', () => admin.hello().isWritablePrimary);

for (const [user, pwd] of Object.entries(users)) {
  const roles = [{ role: 'readWrite', db: database }];
  if (admin.getUser(user) === null) admin.createUser({ user, pwd, roles });
  else admin.updateUser(user, { pwd, roles });
  print(`user ${user}: may read and write ${database}`);
}
