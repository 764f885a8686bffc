import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { ApiLogsBench, type ReadRow } from "../testing/apiLogs.ts";

const json = (fields: object = {}): string =>
  JSON.stringify({
    request_id: "r-1",
    timestamp: "2026-03-01T11:59:58.123456Z",
    service: "orders",
    client_ip: "8.8.8.8",
    method: "get",
    path: "/v1/orders/O-2026-000017?page=2&token=abcdef",
    status: 200,
    latency_ms: 12.5,
    ...fields,
  });

const alb = [
  'https 2026-03-01T11:59:58.186641Z app/shop/50dc6c495c0c9188 81.2.69.160:2817 10.0.0.1:80 0.001 0.014 0.002 200 200 434 1866 "GET https://shop.example.com:443/api/orders/4711/items?sort=asc HTTP/2.0" "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/shop/73e2d6bc24d8a067 "Root=1-58337281-1d84f3d73c47ec4e58577259" "shop.example.com" "arn:aws:acm:us-east-2:123456789012:certificate/12345678" 1 2026-03-01T11:59:58.169000Z "authenticate,forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1',
  'http 2026-03-01T11:59:59.000000Z app/shop/50dc6c495c0c9188 [2001:4860:4860::8888]:40000 - -1 -1 -1 460 - 0 0 "GET http://shop.example.com:80/ HTTP/1.1" "a \\"quoted\\" agent" - - - "Root=1-58337281-2" "-" "-" 0 2026-03-01T11:59:58.169000Z "-" "-" "-" "-" "-" "-" "-" TID_2',
  'http 2026-03-01T11:59:59.000000Z app/shop/50dc6c495c0c9188 1.1.1.1:40000 - -1 -1 -1 400 - 0 0 "- http://shop.example.com:80- -" "-" - - - "-" "-" "-" 0 2026-03-01T11:59:58.169000Z "-" "-" "-" "-" "-" "-" "-" TID_3',
].join("\n");

const combined = [
  '66.249.66.1 - - [01/Mar/2026:06:59:58 -0500] "GET /products/mug%20blue?utm=x HTTP/1.1" 200 5316 "https://www.example.com/search?q=mug" "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"',
  '127.0.0.1 - frank [01/Mar/2026:11:59:58 +0000] "POST /login HTTP/1.1" 401 - "-" "curl/8.4.0"',
  '2001:db8::1 - - [01/Mar/2026:11:59:58 +0000] "GET /a\\"b HTTP/1.1" 404 12 "-" "say \\"hi\\" \\x22there\\x22 caf\u00e9 \u65e5\u672c"',
  '9.9.9.9 - - [01/Mar/2026:11:59:58 +0000] "GET /x HTTP/1.1" 200 1 "-" "an "unescaped" quote"',
  '9.9.9.9 - - [01/Mar/2026:11:59:58 +0000] "\\x16\\x03\\x01" 400 226 "-" "-"',
  '9.9.9.9 - - [30/Feb/2026:11:59:58 +0000] "GET / HTTP/1.1" 200 1 "-" "-"',
  '9.9.9.9 - - [01/Mar/2026:11:59:58 +0000] "GET / HTTP/1.1" 200 1 "-" "open',
].join("\n");

const cloudfront = [
  "#Version: 1.0",
  "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version",
  "2026-03-01\t11:59:57\tFRA2\t2390282\t2001:4860:4860::8888\tGET\td111111abcdef8.cloudfront.net\t/img/3f2504e0-4f89-11d3-9a0c-0305e82c3301/a.png\t304\thttps://www.example.com/cart\tMozilla/5.0%20(iPhone;%20CPU%20iPhone%20OS%2017_0%20like%20Mac%20OS%20X)%20AppleWebKit/605.1.15%20(KHTML,%20like%20Gecko)%20Version/17.0%20Mobile/15E148%20Safari/604.1\tv=3&email=ann%40example.com\t-\tHit\tedge-id-1\twww.example.com\thttps\t415\t0.004\t-\tTLSv1.3\tTLS_AES_128_GCM_SHA256\tHit\tHTTP/2.0",
  "2026-03-01\t11:59:57\tFRA2\t99\t8.8.8.8\tGET\td111111abcdef8.cloudfront.net\t/\t000\t-\t%E0%A4%A\t-\t-\tError\tedge-id-2\twww.example.com\thttps\t1\t0.001\t-\t-\t-\tError\tHTTP/1.1",
].join("\n");

const pick = (row: ReadRow | undefined, ...names: string[]): unknown[] => names.map((name) => row?.[name]);

describe("API logs: formats", () => {
  let bench: ApiLogsBench;
  beforeEach(async () => {
    bench = await ApiLogsBench.start();
  });
  afterEach(() => bench.stop());

  it("reads JSON lines: types, templated path, address in protected forms only, country, network", async () => {
    const { counts } = await bench.drop(
      "json/a.jsonl",
      `${json()}\n${json({ request_id: "r-2", status: "404" })}\n`,
    );
    expect(counts).to.deep.equal({ received: 2, accepted: 2, duplicates: 0, quarantined: {} });
    const [row, second] = await bench.rows();
    expect(
      pick(row, "event_id", "service", "method", "path", "query", "status", "status_class"),
    ).to.deep.equal(["r-1", "orders", "GET", "/v1/orders/{id}", "page=2&token=[redacted]", 200, "2xx"]);
    expect(pick(row, "duration_ms", "client_network", "country", "network")).to.deep.equal([
      12.5,
      "8.8.8.0/24",
      "US",
      "8.8.0.0/15",
    ]);
    expect(row?.client_hash).to.match(/^[0-9a-f]{64}$/);
    expect(row?.occurred_at).to.deep.equal(new Date("2026-03-01T11:59:58.123Z"));
    expect(
      JSON.stringify(row, (_, value) => (typeof value === "bigint" ? Number(value) : value)),
    ).not.to.contain("8.8.8.8");
    expect(second?.client_hash).to.equal(row?.client_hash);
    expect(bench.registered).to.deep.equal(["curated.api_events/2026-03-01/12"]);
  });

  it("reads CSV: header in any order, mixed line ends, quotes and lines inside quotes", async () => {
    const header =
      "timestamp,request_id,service,client_ip,method,path,protocol,status,latency_ms,bytes_in,bytes_out,user_agent,referrer,customer_id,message";
    const line = (id: string, message: string): string =>
      `2026-03-01T11:59:58Z,${id},cart,8.8.4.4,POST,/cart,HTTP/1.1,201,3,10,20,curl/8.4.0,,C-1,${message}`;
    const { counts } = await bench.drop(
      "csv/a.csv",
      [
        `${header}\r\n`,
        `${line("a", '"he said ""no"", twice"')}\n`,
        `${line("b", '"two\r\nlines"')}\r\n`,
        `${line("c", "\u00fcber \u65e5\u672c \ud83d\ude00")}\n`,
        "2026-03-01T11:59:58Z,half,cart\n",
        `${line("d", 'a stray " quote')}\n`,
        line("e", ""),
      ].join(""),
    );
    expect(counts).to.deep.equal({
      received: 6,
      accepted: 4,
      duplicates: 0,
      quarantined: { TRUNCATED_LINE: 1, UNBALANCED_QUOTE: 1 },
    });
    const rows = await bench.rows();
    expect(rows.map((row) => [row.event_id, row.message, Number(row.source_position)])).to.deep.equal([
      ["a", 'he said "no", twice', 2],
      ["b", "two\nlines", 4],
      ["c", "\u00fcber \u65e5\u672c \ud83d\ude00", 5],
      ["e", null, 8],
    ]);
    expect(rows[0]?.customer_hash).to.match(/^[0-9a-f]{64}$/);
    expect((await bench.refused()).map((row) => [row.reason, Number(row.source_position)])).to.deep.equal([
      ["TRUNCATED_LINE", 6],
      ["UNBALANCED_QUOTE", 7],
    ]);
  });

  it("reads ALB: address with port, times added up, -1 for none, quotes inside quotes; gzip", async () => {
    const { counts } = await bench.drop("alb/a.log.gz", gzipSync(alb));
    expect(counts).to.deep.equal({
      received: 3,
      accepted: 2,
      duplicates: 0,
      quarantined: { BAD_TYPE_METHOD: 1 },
    });
    const [first, second] = await bench.rows();
    expect(
      pick(first, "path", "query", "protocol", "duration_ms", "country", "user_agent_family"),
    ).to.deep.equal(["/api/orders/{id}/items", "sort=asc", "HTTP/2.0", 17, "GB", "Chrome"]);
    expect([first?.request_bytes, first?.response_bytes].map(Number)).to.deep.equal([434, 1866]);
    expect(pick(second, "status", "duration_ms", "client_network", "user_agent_family")).to.deep.equal([
      460,
      null,
      "2001:4860:4860::/48",
      "a",
    ]);
  });

  it("reads CloudFront: comments, tabs, %-encoding also when it is broken, status 000", async () => {
    const { counts } = await bench.drop("cloudfront/E1.gz", gzipSync(cloudfront));
    expect(counts).to.deep.equal({ received: 2, accepted: 2, duplicates: 0, quarantined: {} });
    const [first, second] = await bench.rows();
    expect(
      pick(first, "event_id", "path", "query", "status", "device_type", "operating_system", "referrer_host"),
    ).to.deep.equal([
      "edge-id-1",
      "/img/{id}/a.png",
      "v=3&email=[redacted]",
      304,
      "mobile",
      "iOS",
      "www.example.com",
    ]);
    expect(pick(second, "status", "status_class", "event_id")).to.deep.equal([null, null, "edge-id-2"]);
  });

  it("reads Apache and nginx: offset, escaped and careless quotes, and says what it cannot read", async () => {
    const { counts } = await bench.drop("combined/access.log", combined);
    expect(counts).to.deep.equal({
      received: 7,
      accepted: 4,
      duplicates: 0,
      quarantined: { BAD_TYPE_REQUEST: 1, BAD_TYPE_OCCURRED_AT: 1, UNBALANCED_QUOTE: 1 },
    });
    const rows = await bench.rows();
    expect(rows[0]?.occurred_at).to.deep.equal(new Date("2026-03-01T11:59:58Z"));
    expect(rows.map((row) => pick(row, "path", "device_type", "user_agent_family", "country"))).to.deep.equal(
      [
        ["/products/mug%20blue", "bot", "Googlebot", "US"],
        ["/login", null, "curl", null],
        ['/a"b', null, "say", null],
        ["/x", null, "an", "US"],
      ],
    );
    expect(rows[1]?.response_bytes).to.equal(null);
  });

  it("refuses a cut-off gzip and a wrong header as a whole, and says a folder of no format", async () => {
    const broken = await bench.drop("alb/b.log.gz", gzipSync(alb.repeat(50)).subarray(0, 700));
    expect(broken.refused?.reason).to.equal("TRUNCATED_GZIP");
    const header = await bench.drop("csv/b.csv", "a,b\n1,2\n");
    expect(header.refused?.reason).to.equal("MISSING_COLUMNS");
    expect(await bench.rows()).to.deep.equal([]);
    let message = "";
    await bench.drop("xml/a.xml", "<a/>").catch((error: Error) => {
      message = error.message;
    });
    expect(message).to.contain("is below no format's prefix (drops/api-logs/json/");
  });

  it("accounts for every bad record: malformed and half JSON, NUL, surrogates, 5 MB, clocks, bytes that are no UTF-8", async () => {
    const lines = [
      json({ request_id: "ok" }),
      json({ request_id: "ok" }),
      '{"request_id": "half", "timest',
      "[1, 2]",
      "null",
      json({ request_id: "nul", message: "a\u0000b \ud800 c" }),
      json({ request_id: "1970", timestamp: 0 }),
      json({ request_id: "1970b", timestamp: "1970-01-01T00:00:00Z" }),
      json({ request_id: "2099", timestamp: "2099-01-01T00:00:00Z" }),
      json({ request_id: "long", message: "x".repeat(5_000_000) }),
      json({ request_id: "status", status: 700 }),
      json({ request_id: "type", status: { code: 200 } }),
      json({ request_id: undefined, method: undefined }),
      "",
    ];
    const bytes = Buffer.concat([
      Buffer.from(`\ufeff${lines.join("\r\n")}`),
      Buffer.from('{"request_id":"\xff\xfe"}\r', "latin1"),
      Buffer.from(`${json({ request_id: "last" })}`),
    ]);
    const { counts } = await bench.drop("json/bad.jsonl", bytes);
    expect(counts).to.deep.equal({
      received: 15,
      accepted: 3,
      duplicates: 1,
      quarantined: {
        BAD_JSON: 3,
        BAD_TYPE_OCCURRED_AT: 1,
        BELOW_MINIMUM_OCCURRED_AT: 1,
        ABOVE_MAXIMUM_OCCURRED_AT: 1,
        RECORD_TOO_LONG: 1,
        ABOVE_MAXIMUM_STATUS: 1,
        BAD_TYPE_STATUS: 1,
        MISSING_METHOD: 1,
        BAD_ENCODING: 1,
      },
    });
    const rows = await bench.rows();
    expect(rows.map((row) => row.event_id)).to.deep.equal(["ok", "nul", "last"]);
    expect(rows[1]?.message).to.equal("a\ufffdb \ufffd c");
    const refused = await bench.refused();
    expect(refused.find((row) => row.reason === "BAD_ENCODING")?.raw_record).to.match(/^base64:/);
    expect(String(refused.find((row) => row.reason === "RECORD_TOO_LONG")?.raw_record)).to.have.length(
      65_536,
    );
  });

  it("writes the same object when a drop is processed again", async () => {
    const first = await bench.drop("json/a.jsonl", `${json()}\nno json\n`);
    const again = await bench.process("json/a.jsonl");
    expect(again.objects).to.deep.equal(first.objects);
    expect([(await bench.rows()).length, (await bench.refused()).length]).to.deep.equal([1, 1]);
  });
});
