# SPDX-License-Identifier: GPL-3.0-or-later
"""clickhouse.py PACKAGES FOLDER PORT: ClickHouse's own engine, which chdb is, behind what its HTTP interface says to POST: a query, with the
data of an INSERT behind it. Answers 500 with ClickHouse's message where a query fails. The rest of a server is not here."""

import http.server
import sys

sys.path.append(sys.argv[1])

from chdb import session

engine = session.Session(sys.argv[2])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        query = self.rfile.read(int(self.headers["Content-Length"])).decode(errors="surrogateescape")
        try:
            status, text = 200, str(engine.query(query, "JSONEachRow")).encode()
        except Exception as error:
            status, text = 500, str(error).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


http.server.HTTPServer(("127.0.0.1", int(sys.argv[3])), Handler).serve_forever()
