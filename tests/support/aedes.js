// A broker that hangs up on a publish or subscription that it does not permit, and says nothing.
const { Aedes } = require('aedes');
const net = require('net');
const [, , denied, deniedFilter, how] = process.argv;
const matches = (pattern, topic) => pattern !== '' && new RegExp(pattern).test(topic);
const counts = { connections: 0 };
const end = (client, done) => {
  if (how === 'reset') client.conn.resetAndDestroy();
  else if (how === 'close') client.conn.destroy();
  done(new Error('not permitted'));
};
Aedes.createBroker({
  authorizePublish: (client, packet, done) =>
    client !== null && matches(denied, packet.topic) ? end(client, done) : done(null),
  authorizeSubscribe: (client, subscription, done) =>
    !matches(deniedFilter, subscription.topic)
      ? done(null, subscription)
      : how === 'refuse'
        ? done(null, null)
        : end(client, done),
}).then((broker) => {
  const server = net.createServer((connection) => {
    counts.connections += 1;
    console.log(JSON.stringify(counts));
    broker.handle(connection);
  });
  server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
});
