"""A present-day ClickHouse as a library (PyPI: chdb) beside the other peers: a table of its own, or our Parquet files as they lie.

    python3 chdb_peer.py fill  STORE_DIR CHDB_DIR
    python3 chdb_peer.py table STORE_DIR CHDB_DIR [REPEAT]
    python3 chdb_peer.py parquet STORE_DIR CHDB_DIR [REPEAT]

Two threads, like every peer. Prints the lines that table.mjs reads.
"""
import json
import os
import subprocess
import sys
import threading
import time

from chdb import session

HERE = os.path.dirname(os.path.abspath(__file__))
BUDGET_S = 3.0  # a slow question is not asked more often than fits into it
FILL = """CREATE TABLE spans (%s, INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX by_thread thread_id TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX words prompt TYPE text(tokenizer = 'splitByNonAlpha', preprocessor = lower(prompt)))
ENGINE = MergeTree PARTITION BY toDate(start_ns) ORDER BY start_ns"""


def own_memory_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


class Peer:
    def __init__(self, store, directory):
        self.files = f"file('{os.path.abspath(store)}/spans/*/*.parquet', Parquet)"
        self.db = session.Session(os.path.abspath(directory))
        self.db.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
        self.db.query("USE bench")
        self.most_kib, self.watching = 0, True
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        while self.watching:
            self.most_kib = max(self.most_kib, own_memory_kib())
            time.sleep(0.01)

    def ask(self, sql):
        """The answer's bytes (ids are no UTF-8). Without the cache of conditions: it would only repeat what the last round found."""
        return self.db.query(sql + " SETTINGS max_threads = 2, use_query_condition_cache = 0", "TSV").bytes()

    def word(self, sql):
        return self.ask(sql).decode().strip()

    def fill(self, columns):
        for place, text in (("{start}", "DateTime64(9, 'UTC')"), ("{json}", "JSON"), ("{zstd}", " CODEC(ZSTD(1))")):
            columns = columns.replace(place, text)
        self.db.query("DROP TABLE IF EXISTS spans SYNC")
        self.db.query(FILL % columns)
        start, used = time.monotonic(), time.process_time()
        self.db.query(f"INSERT INTO spans SELECT * FROM {self.files} SETTINGS max_threads = 2, max_insert_threads = 2")
        print(f"fact fill_s {time.monotonic() - start:.1f}\nfact fill_cpu_s {time.process_time() - used:.1f}", flush=True)
        self.db.query("OPTIMIZE TABLE spans FINAL")
        print(f"fact fill_and_merge_s {time.monotonic() - start:.1f}", flush=True)

    def facts(self):
        size = self.word("SELECT sum(rows), sum(bytes_on_disk) / sum(rows) FROM system.parts WHERE active AND database = 'bench' AND table = 'spans'")
        rows, each = size.split()
        print(f"fact version {self.word('SELECT version()')}\nfact spans {rows}\nfact bytes_per_span {float(each):.1f}", flush=True)

    def measure(self, title, sql, repeat):
        self.ask(sql)
        times, used = [], time.process_time()
        while not times or (len(times) < repeat and sum(times) < BUDGET_S):
            start = time.monotonic()
            answer = self.ask(sql)
            times.append(time.monotonic() - start)
        cpu = (time.process_time() - used) / len(times)
        times.sort()
        print(f"{title:<40} {'-':>12} {times[0] * 1e3:12.2f} {times[len(times) // 2] * 1e3:12.2f} {cpu * 1e3:12.2f}", flush=True)
        if os.environ.get("SHOW"):
            print(f"#   {answer[:200]!r}")


def main():
    what, store, directory = sys.argv[1:4]
    repeat = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    engine = "chdb-parquet" if what == "parquet" else "chdb-table"
    known = json.loads(subprocess.check_output(["node", os.path.join(HERE, "questions.mjs"), "json", engine]))
    peer = Peer(store, directory)
    if what == "fill":
        peer.fill(known["columns"])
        peer.facts()
        peer.db.close()
        return
    peer.facts() if what == "table" else print(f"fact version {peer.word('SELECT version()')}")
    trace = peer.word(f"SELECT lower(hex(trace_id)) FROM {peer.files} LIMIT 1 OFFSET 5000")
    for name, title in known["titles"].items():
        sql = known["questions"][name].replace("{trace}", trace).replace("{files}", peer.files)
        peer.measure(title, sql, repeat)
    peer.watching = False
    print(f"fact most_memory_mib {peer.most_kib // 1024}")
    peer.db.close()


main()
