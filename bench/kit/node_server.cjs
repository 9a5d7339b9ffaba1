// The peer of `desks.py`: the Socket.IO server of npm, as its documentation starts it. POST /emit sends its body to every socket of /desk.
const { createServer } = require("node:http");
const path = require("node:path");
const { createRequire } = require("node:module");

const { Server } = createRequire(path.join(__dirname, "../../web/package.json"))("socket.io");

const http = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const [event, data] = JSON.parse(Buffer.concat(chunks).toString());
    io.of("/desk").emit(event, data);
    response.writeHead(204).end();
  });
});
const io = new Server(http, { transports: ["websocket"], serveClient: false, pingInterval: 10000, pingTimeout: 10000 });
io.of("/desk").on("connection", () => {});
http.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => console.log(`node ready ${http.address().port}`));
process.on("SIGTERM", () => process.exit(0));
