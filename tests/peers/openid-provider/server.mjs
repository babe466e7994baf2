// An OAuth issuer on 127.0.0.1: `node server.mjs PORT CERTIFICATE KEY`. Each start makes new signing keys, under a name of
// their own. Clients get tokens for themselves: the resource that they ask for is the token's audience.
import { createServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { generateKeyPairSync } from 'node:crypto';
import { Provider } from 'oidc-provider';

const [port, certificate, key] = process.argv.slice(2);
const name = Date.now();
const signing = (type, options, alg) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  use: 'sig',
  alg,
  kid: `${alg}-${name}`,
});
const client = (client_id) => ({
  client_id,
  client_secret: 'secret',
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
});

const provider = new Provider(`https://127.0.0.1:${port}`, {
  jwks: { keys: [signing('rsa', { modulusLength: 2048 }, 'RS256'), signing('ec', { namedCurve: 'P-256' }, 'ES256')] },
  clients: [client('loader'), client('reporter')],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, resource) => ({
        scope: 'sql sql:read',
        audience: resource,
        accessTokenTTL: new URL(resource).pathname === '/brief' ? 5 : 600,
        accessTokenFormat: 'jwt',
        // The resource says which signature it understands.
        jwt: { sign: { alg: new URL(resource).pathname === '/es256' ? 'ES256' : 'RS256' } },
      }),
    },
  },
});

createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, provider.callback()).listen(
  Number(port),
  '127.0.0.1',
  () => console.log('listening'),
);
