"""A service that knows nothing of Graylane: it calls the next one, and forwards only x-user-id.

usage: forward.py NAME urllib|curl URL      (listens on $HOST:$PORT, as any app is told to)
"""

import os
import subprocess
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME, CLIENT, URL = sys.argv[1:]
TIMEOUT_S = 10


def call_with_urllib(user):
    request = urllib.request.Request(URL, headers={} if user is None else {"x-user-id": user})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        return response.read().decode()


def call_with_curl(user):
    header = [] if user is None else ["-H", f"x-user-id: {user}"]
    command = ["curl", "-sS", "--fail", "--max-time", str(TIMEOUT_S), *header, URL]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        call = call_with_urllib if CLIENT == "urllib" else call_with_curl
        try:
            status, text = 200, f"-> {NAME}({CLIENT}){call(self.headers.get('x-user-id'))}"
        except Exception as error:
            status, text = 502, f"-> {NAME}({CLIENT}) failed: {error}"
        body = text.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
