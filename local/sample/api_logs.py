"""The shop's API event logs of the last day: a stream's records and drops in every format, and what they amount to.

A request is drawn clean and then written as its source writes it; every `EVERY`-th one of a source is damaged, its
source's kinds of defects in turn. The truth is counted while writing.
"""

import base64
import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from urllib.parse import quote

from .catalogue import customer_id
from .counts import Json, Tally
from .output import Output
from .world import World, ip_address

STREAM = "sources/kinesis/api_events.jsonl"
DROPS = "drops/api-logs"

STREAM_AT_SCALE_1 = 1_200
DROP_AT_SCALE_1 = 400
EVERY = 20
#: The function tells copies within a batch of the stream, so a copy is never the first record of the next batch.
BATCH = 1_000

AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 "
    "Mobile/15E148 Safari/604.1",
    "securecart-app/4.2.1 (Android 14)",
    'check "synthetic" probe/1.0',
)
MESSAGES = (None, None, None, 'declined, code "51"', "gesperrt für zoë@example.com", "slow: token=abcdef1234567890")
NAMES = "request_id timestamp service client_ip method path protocol status latency_ms bytes_in bytes_out"
COLUMNS = (*NAMES.split(), "user_agent", "referrer", "customer_id", "message")

ApiEvent = dict[str, str | int | float | None]


@dataclass
class ApiLogs:
    """Draws requests and keeps the books."""

    chance: Random
    world: World
    end: date
    tally: Tally = field(default_factory=Tally)
    by_format: Counter[str] = field(default_factory=Counter)
    drawn: int = 0

    def event(self) -> ApiEvent:
        """One request of the last day, as a service describes it."""
        chance = self.chance
        self.drawn += 1
        at = datetime(self.end.year, self.end.month, self.end.day, tzinfo=UTC) + timedelta(
            seconds=20 * 3600 + chance.uniform(0, 3 * 3600)
        )
        region = self.world.regions[chance.randrange(len(self.world.regions))]
        path = chance.choice(
            (
                f"/v1/orders/SC{chance.randrange(1, 20_000):09d}",
                f"/v1/products/P{chance.randrange(1, 120):05d}?page={chance.randrange(1, 9)}&token=s3cret{self.drawn}",
                "/v2/carts",
            )
        )
        return {
            "request_id": f"r-{self.end:%Y%m%d}-{self.drawn:06d}",
            "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "service": chance.choice(("orders", "catalogue", "carts")),
            "client_ip": ip_address(region, chance.random) or "203.0.113.7",
            "method": chance.choice(("GET", "GET", "POST")),
            "path": path,
            "protocol": "HTTP/1.1",
            "status": chance.choice((200, 200, 200, 201, 404, 500)),
            "latency_ms": round(chance.uniform(1, 900), 1),
            "bytes_in": chance.randrange(2_000),
            "bytes_out": chance.randrange(90_000),
            "user_agent": chance.choice(AGENTS),
            "referrer": chance.choice((None, "https://www.example.com/search?q=gr%C3%BCn")),
            "customer_id": customer_id(chance.randrange(1, 400)) if chance.random() < 0.6 else None,
            "message": chance.choice(MESSAGES),
        }

    def defect(self, number: int, kinds: tuple[str, ...]) -> str | None:
        """What befalls a source's `number`-th request, counted from 1."""
        turn, rest = divmod(number, EVERY)
        return None if rest else kinds[(turn - 1) % len(kinds)]

    def count(self, source_format: str, defect: str | None) -> None:
        """Books a request: it is loaded, or loaded and repeated, or rejected for its defect."""
        if defect is not None and defect != "same_event":
            self.tally.reject(defect)
            return
        self.tally.load()
        self.by_format[source_format] += 1
        if defect:
            self.tally.lose(defect)


def as_json(event: ApiEvent) -> bytes:
    return json.dumps({name: value for name, value in event.items() if value is not None}, ensure_ascii=False).encode()


def damaged_json(event: ApiEvent, defect: str) -> bytes:
    """An event in JSON with the defect that the quarantine shall name."""
    if defect == "BAD_JSON":
        return as_json(event)[:60]
    if defect == "BAD_ENCODING":
        return as_json({**event, "message": "caf?"}).replace(b"caf?", b"caf\xe9")
    if defect == "RECORD_TOO_LONG":
        return as_json({**event, "message": "x" * 1_100_000})
    changes: dict[str, ApiEvent] = {
        "BELOW_MINIMUM_OCCURRED_AT": {"timestamp": "1970-01-01T00:00:00Z"},
        "ABOVE_MAXIMUM_OCCURRED_AT": {"timestamp": "2099-01-01T00:00:00Z"},
        "MISSING_OCCURRED_AT": {"timestamp": None},
        "MISSING_METHOD": {"method": None},
        "BAD_TYPE_STATUS": {"status": "OK"},
        "BAD_TYPE_DURATION_MS": {"latency_ms": "fast"},
    }
    return as_json({**event, **changes[defect]})


IN_STREAM = (
    "same_event",
    "BAD_JSON",
    "BELOW_MINIMUM_OCCURRED_AT",
    "ABOVE_MAXIMUM_OCCURRED_AT",
    "MISSING_OCCURRED_AT",
    "BAD_TYPE_STATUS",
    "EMPTY_RECORD",
)


def write_stream(logs: ApiLogs, output: Output, count: int) -> None:
    """Records of two shards in the order of their arrival; one of them is larger than a record may be."""
    sink = output.open(STREAM)
    in_shard: Counter[int] = Counter()
    sequence = 0
    events = sorted((logs.event() for _ in range(count)), key=lambda event: str(event["timestamp"]))
    for number, event in enumerate(events, start=1):
        shard = logs.chance.randrange(2)
        defect = "RECORD_TOO_LONG" if number == count // 2 else logs.defect(number, IN_STREAM)
        if defect == "same_event" and in_shard[shard] % BATCH == BATCH - 1:
            defect = None
        logs.count("json", defect)
        if defect in (None, "same_event"):
            data = as_json(event)
        else:
            data = b"" if defect == "EMPTY_RECORD" else damaged_json(event, str(defect))
        arrived = datetime.fromisoformat(str(event["timestamp"])).timestamp() + 0.25
        for _ in range(2 if defect == "same_event" else 1):
            sequence += 1
            in_shard[shard] += 1
            record = {
                "ShardId": f"shardId-{shard:012d}",
                "SequenceNumber": f"{sequence:020d}",
                "ApproximateArrivalTimestamp": f"{arrived:.3f}",
                "PartitionKey": str(event["service"]),
                "Data": base64.b64encode(data).decode(),
            }
            sink.write((json.dumps(record) + "\n").encode())


def json_line(event: ApiEvent, defect: str | None) -> bytes:
    """With line ends of several kinds."""
    if defect is None:
        return as_json(event) + (b"\r\n" if event["method"] == "POST" else b"\n")
    if defect == "same_event":
        return (as_json(event) + b"\n") * 2
    return damaged_json(event, defect) + b"\n"


def csv_line(event: ApiEvent, defect: str | None) -> bytes:
    values = [event[name] for name in COLUMNS]
    if defect == "BAD_TYPE_STATUS":
        values[COLUMNS.index("status")] = "OK"
    elif defect == "TRUNCATED_LINE":
        values = values[:5]
    elif defect == "TOO_MANY_FIELDS":
        values += ["x", "y"]
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(values)
    line = text.getvalue()
    if defect == "UNBALANCED_QUOTE":
        line = line.replace(",HTTP/1.1,", ',"HTTP/1.1,')
    return (line * (2 if defect == "same_event" else 1)).encode()


def quoted(text: str) -> str:
    """As load balancers and Apache write a text between quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def alb_line(event: ApiEvent, defect: str | None) -> bytes:
    at = "2026-13-45T00:00:00Z" if defect == "BAD_TYPE_OCCURRED_AT" else event["timestamp"]
    method = "-" if defect == "BAD_TYPE_METHOD" else event["method"]
    client = f"[{event['client_ip']}]" if ":" in str(event["client_ip"]) else event["client_ip"]
    took = f"0.001 {float(event['latency_ms'] or 0) / 1000:.3f} 0.000"
    line = (
        f"https {at} app/{event['service']}/50dc6c495c0c9188 {client}:2817 10.0.0.1:80 {took} {event['status']} "
        f"{event['status']} {event['bytes_in']} {event['bytes_out']} "
        f'"{method} https://api.example.com:443{event["path"]} HTTP/2.0" {quoted(str(event["user_agent"]))} '
        'ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:target "Root=1-1" "api.example.com" "-" 1'
    )
    if defect == "TRUNCATED_LINE":
        line = " ".join(line.split(" ")[:6])
    elif defect == "UNBALANCED_QUOTE":
        line = line[: line.index(" ECDHE") - 1]
    return (line + "\n").encode()


def cloudfront_line(event: ApiEvent, defect: str | None) -> bytes:
    at = "1970-01-01T00:00:00" if defect == "BELOW_MINIMUM_OCCURRED_AT" else str(event["timestamp"])
    path, _, query = str(event["path"]).partition("?")
    status = "999" if defect == "ABOVE_MAXIMUM_STATUS" else str(event["status"])
    values = [at[:10], at[11:19], "FRA2", str(event["bytes_out"]), str(event["client_ip"]), str(event["method"])]
    values += ["d1.cloudfront.net", path, status, str(event["referrer"] or "-"), quote(str(event["user_agent"]))]
    values += [query or "-", "-", "Miss", str(event["request_id"]), "api.example.com", "https", str(event["bytes_in"])]
    values += [f"{float(event['latency_ms'] or 0) / 1000:.3f}", "-", "TLSv1.3", "TLS_AES_128_GCM_SHA256", "Miss"]
    line = "\t".join([*values, "HTTP/2.0"][: 9 if defect == "TRUNCATED_LINE" else None])
    return (line + "\n").encode() * (2 if defect == "same_event" else 1)


def combined_line(event: ApiEvent, defect: str | None) -> bytes:
    at = datetime.fromisoformat(str(event["timestamp"]))
    day = "30/Feb/2026" if defect == "BAD_TYPE_OCCURRED_AT" else f"{at:%d/%b/%Y}"
    request = "\\x16\\x03\\x01" if defect == "BAD_TYPE_REQUEST" else f"{event['method']} {event['path']} HTTP/1.1"
    agent = "caf\u00e9" if defect == "BAD_ENCODING" else str(event["user_agent"])
    line = (
        f'{event["client_ip"]} - - [{day}:{at:%H:%M:%S} +0000] "{request}" {event["status"]} '
        f'{event["bytes_out"]} "{event["referrer"] or "-"}" {quoted(agent)}'
    )
    if defect == "UNBALANCED_QUOTE":
        line = line[:-1]
    return line.encode("latin-1" if defect == "BAD_ENCODING" else "utf-8") + b"\n"


HEADERS = {
    "csv": ",".join(COLUMNS) + "\r\n",
    "cloudfront": "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method\n",
}
LINES: dict[str, tuple[str, Callable[[ApiEvent, str | None], bytes], tuple[str, ...]]] = {
    "json": (
        "events-{day}.jsonl",
        json_line,
        ("same_event", "BAD_JSON", "MISSING_METHOD", "BAD_TYPE_DURATION_MS", "BAD_ENCODING"),
    ),
    "csv": (
        "gateway-{day}.csv",
        csv_line,
        ("same_event", "UNBALANCED_QUOTE", "TRUNCATED_LINE", "TOO_MANY_FIELDS", "BAD_TYPE_STATUS"),
    ),
    "alb": (
        "balancer-{day}.log.gz",
        alb_line,
        ("TRUNCATED_LINE", "UNBALANCED_QUOTE", "BAD_TYPE_OCCURRED_AT", "BAD_TYPE_METHOD"),
    ),
    "cloudfront": (
        "edge-{day}.gz",
        cloudfront_line,
        ("same_event", "TRUNCATED_LINE", "ABOVE_MAXIMUM_STATUS", "BELOW_MINIMUM_OCCURRED_AT"),
    ),
    "combined": (
        "nginx-{day}.log",
        combined_line,
        ("BAD_TYPE_REQUEST", "BAD_TYPE_OCCURRED_AT", "UNBALANCED_QUOTE", "BAD_ENCODING"),
    ),
}


def write_api_logs(output: Output, world: World, seed: int, scale: float, end: date) -> dict[str, Json]:
    """Writes the stream and a drop of each format, one more that is cut off; returns their truth."""
    logs = ApiLogs(Random(f"{seed}:api-logs"), world, end)
    write_stream(logs, output, max(200, round(STREAM_AT_SCALE_1 * scale)))
    midnight = datetime(end.year, end.month, end.day, tzinfo=UTC) + timedelta(days=1)
    modified = int(midnight.timestamp()) + 1_800
    lines_of_a_drop = max(120, round(DROP_AT_SCALE_1 * scale))
    content = b""
    for source_format, (name, line_of, kinds) in LINES.items():
        content = HEADERS.get(source_format, "").encode()
        for number in range(1, lines_of_a_drop + 1):
            defect = logs.defect(number, kinds)
            logs.count(source_format, defect)
            content += line_of(logs.event(), defect)
        path = f"{DROPS}/{source_format}/{name.format(day=end.isoformat())}"
        output.open(path, modified).write(gzip.compress(content, mtime=0) if path.endswith(".gz") else content)
    cut_off = f"{DROPS}/combined/cut-off-{end.isoformat()}.log.gz"
    output.open(cut_off, modified).write(gzip.compress(content, mtime=0)[:2_000])
    return {
        **logs.tally.document(),
        "refused": {cut_off: "TRUNCATED_GZIP"},
        "by_format": dict(sorted(logs.by_format.items())),
    }
