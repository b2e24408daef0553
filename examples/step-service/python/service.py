"""A step service: PUT takes seats, DELETE gives them back, GET probes. See docs/step-contract.md."""
import contextlib, hashlib, json, sqlite3, sys, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
FILE = sys.argv[2] if len(sys.argv) > 2 else "seats.db"
class Problem(Exception): ...  # status, code, detail
def do(db, key, row, text):
    try:
        body = json.loads(text)
        count = body["count"]
        if type(count) is not int or not 0 < count < 1000 or type(body["show"]) is not str or len(body) != 2: raise TypeError
    except Exception:
        raise Problem(400, "malformed", 'want {"show": text, "count": 1 to 999}') from None
    fingerprint = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    if row and row["state"] == "undone":
        raise Problem(410, "undone", "this key was undone; it cannot be done any more")
    if row and row["fingerprint"] != fingerprint:
        raise Problem(409, "key_reused", "this key was used with another body")
    if not row:
        if not db.execute("UPDATE house SET free = free - ? WHERE free >= ?", (count, count)).rowcount:
            raise Problem(422, "sold_out", "there are not enough seats left")  # rolled back, not remembered
        row = {"result": json.dumps({"ticket": hashlib.sha256(key.encode()).hexdigest()[:12], **body})}
        db.execute("INSERT INTO ledger VALUES (?, 'done', ?, ?, ?)", (key, fingerprint, count, row["result"]))
    return 200, row["result"]

def undo(db, key, row, _):
    db.execute("UPDATE house SET free = free + ?", (row["count"] if row else 0,))
    db.execute("INSERT OR REPLACE INTO ledger VALUES (?, 'undone', NULL, 0, 'null')", (key,))  # also if never seen
    return 204, ""

def probe(db, key, row, _):
    if not row:
        raise Problem(404, "not_found", "nothing is known of this key")
    return 200, json.dumps(dict(key=key, step="TakeSeats", state=row["state"], result=json.loads(row["result"])))

class Handler(BaseHTTPRequestHandler):
    def call(self):
        kind, text = "application/json", self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            with contextlib.closing(sqlite3.connect(FILE, timeout=10, isolation_level=None)) as db:
                db.row_factory, key = sqlite3.Row, urllib.parse.unquote(self.path.removeprefix("/seats/"))
                db.execute("BEGIN IMMEDIATE")  # one at a time; closing without COMMIT rolls back
                row = db.execute("SELECT * FROM ledger WHERE key = ?", (key,)).fetchone()
                status, answer = {"PUT": do, "DELETE": undo, "GET": probe}[self.command](db, key, row, text)
                db.execute("COMMIT")  # the seats and the ledger's row, or neither
        except (Problem, sqlite3.Error) as e:
            status, code, detail = e.args if isinstance(e, Problem) else (503, "unavailable", "try again")
            kind, answer = "application/problem+json", json.dumps(dict(status=status, code=code, detail=detail))
        self.send_response(status)
        self.send_header("Saga-Key", self.path.rpartition("/")[2])  # we answer, not a proxy
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))  # json.dumps writes ASCII only
        self.end_headers()
        self.wfile.write(answer.encode())
    do_PUT = do_DELETE = do_GET = call

sqlite3.connect(FILE).executescript("""CREATE TABLE IF NOT EXISTS house AS SELECT 100000 AS free;
    CREATE TABLE IF NOT EXISTS ledger (key PRIMARY KEY, state, fingerprint, count, result); PRAGMA journal_mode = WAL""")
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8090), Handler)
print(f"ready: http://127.0.0.1:{server.server_port}/seats", flush=True)
server.serve_forever()
