"""A registry that behaves as badly as it is told to: fake_registry.py DIR

DIR/images/NAME   an OCI layout: what /v2/NAME/ serves; a tag is the org.opencontainers.image.ref.name of its index
DIR/rules         read anew for each request. A line `PATTERN ACTION [VALUE]`; all that match `METHOD PATH` hold
DIR/requests      written: SECONDS METHOD PATH, a line a request, when it has come
DIR/port          written: where it listens (127.0.0.1, plain HTTP)

Actions: status CODE, drop (closes without a word), rate BYTES a second, stall BYTES (so many, the rest once the rules have
changed), cut BYTES (so many, then closes), length N (what Content-Length claims), corrupt (one byte is another).
"""
import http.server
import json
import os
import re
import select
import sys
import threading
import time

STEP = 0.02
ERRORS = {401: ("UNAUTHORIZED", "authentication required"), 404: ("MANIFEST_UNKNOWN", "manifest unknown"),
          429: ("TOOMANYREQUESTS", "too many requests")}
top = sys.argv[1]
requests_lock = threading.Lock()


def read(name):
    with open(os.path.join(top, name), "rb") as f:
        return f.read()


def rules_text():
    try:
        return read("rules").decode()
    except FileNotFoundError:
        return ""


def rules_for(text, request):
    """{action: value} of the lines that match."""
    found = {}
    for line in text.splitlines():
        pattern, action, *value = line.split()
        if re.search(pattern, request):
            found[action] = int(value[0]) if value else 1
    return found


def lookup(path):
    """The bytes and media type of a manifest or blob; None: there is none."""
    m = re.fullmatch(r"/v2/(.+)/(manifests|blobs)/([^/]+)", path)
    if not m:
        return None
    layout, kind, what = os.path.join("images", m[1]), m[2], m[3]
    try:
        if not what.startswith("sha256:"):
            index = json.loads(read(os.path.join(layout, "index.json")))
            what = next(d["digest"] for d in index["manifests"]
                        if d.get("annotations", {}).get("org.opencontainers.image.ref.name") == what)
        data = read(os.path.join(layout, "blobs/sha256", what[7:]))
    except (FileNotFoundError, StopIteration):
        return None
    return data, json.loads(data)["mediaType"] if kind == "manifests" else "application/octet-stream"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        # As Go's server answers a client that speaks TLS, so that the client can tell.
        if self.rfile.peek(1)[:1] == b"\x16":
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
            self.close_connection = True
            return
        super().handle_one_request()

    def do_GET(self):
        request = f"{self.command} {self.path}"
        with requests_lock, open(os.path.join(top, "requests"), "a") as f:
            f.write(f"{time.monotonic():.3f} {request}\n")
        self.text = rules_text()
        self.rules = rules_for(self.text, request)
        if "drop" in self.rules:
            self.close_connection = True
        elif "status" in self.rules:
            self.refuse(self.rules["status"])
        elif self.path == "/v2/":
            self.send(b"{}", "application/json")
        elif found := lookup(self.path):
            self.send(*found)
        else:
            self.refuse(404)

    do_HEAD = do_GET

    def refuse(self, code):
        name, message = ERRORS.get(code, ("UNKNOWN", f"told to say {code}"))
        body = json.dumps({"errors": [{"code": name, "message": message}]}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="fake"')
        if code == 429:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def send(self, data, kind):
        if "corrupt" in self.rules:
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(self.rules.get("length", len(data))))
        self.end_headers()
        if self.command == "GET":
            self.send_body(data)

    def send_body(self, data):
        until = min(len(data), self.rules.get("stall", len(data)), self.rules.get("cut", len(data)))
        self.send_paced(data[:until])
        if "stall" in self.rules and self.rules_change():
            self.send_paced(data[until:])
            until = len(data)
        if until < len(data) or "length" in self.rules:
            self.close_connection = True

    def send_paced(self, data):
        rate = self.rules.get("rate")
        step = max(int(rate * STEP), 1) if rate else max(len(data), 1)
        for at in range(0, len(data), step):
            self.wfile.write(data[at:at + step])
            if rate:
                time.sleep(STEP)

    def rules_change(self):
        """False: the client went away before they did."""
        while rules_text() == self.text:
            if select.select([self.connection], [], [], STEP)[0]:
                return False
        return True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that went away is nothing to speak of."""


server = Server(("127.0.0.1", 0), Handler)
with open(os.path.join(top, "port.new"), "w") as f:
    f.write(str(server.server_address[1]))
os.rename(os.path.join(top, "port.new"), os.path.join(top, "port"))
server.serve_forever()
