import type { DatasetBalance, DayRevenue, ReportData, Revenue, RevenueRow, Step } from "../types.ts";

/** Report data as runs leave it, made up but with the shapes and sizes of the default sample. */

const start = Date.parse("2026-08-02T14:05:09.000Z");
const at = (seconds: number): string => new Date(start + seconds * 1000).toISOString();

function step(name: string, from: number, seconds: number, more: Partial<Step> = {}): Step {
  return { name, started: at(from), ended: at(from + seconds), status: "SUCCEEDED", attempts: 1, ...more };
}

const steps: Step[] = [
  step("Plan", 0, 0.4),
  step("Extract", 0.5, 11.8, {
    rowsOut: 71_942,
    segments: [
      step("extract_mysql", 0.5, 11.8, { rowsOut: 52_310 }),
      step("extract_dynamodb", 0.6, 6.2, { rowsOut: 9_112 }),
      step("csv_to_parquet", 0.6, 7.9, { rowsOut: 10_520, attempts: 2 }),
    ],
  }),
  step("Recipes", 12.4, 1.9, { rowsIn: 240, rowsOut: 214 }),
  step("Clean", 14.4, 9.6, { rowsIn: 71_942, rowsOut: 63_815 }),
  step("Quality", 24.1, 4.3, { rowsIn: 63_815 }),
  step("Verdict", 28.5, 0.02),
  step("Publish", 28.6, 8.8, { rowsIn: 63_815, rowsOut: 63_815 }),
  step("Curate", 37.5, 6.1, { rowsOut: 22_871 }),
  step("Export", 43.7, 3.2, { rowsOut: 86_686 }),
  step("Load", 47, 4.6, { rowsIn: 86_686, rowsOut: 86_686 }),
  step("Commit", 51.7, 0.2),
];

function dataset(
  name: string,
  loaded: number,
  deduplicated: Record<string, number>,
  quarantined: Record<string, number>,
): DatasetBalance {
  const set = [...Object.values(deduplicated), ...Object.values(quarantined)];
  return {
    name,
    read: loaded + set.reduce((a, b) => a + b, 0),
    loaded,
    deduplicated,
    quarantined,
    refused: [],
  };
}

const datasets: DatasetBalance[] = [
  dataset(
    "orders",
    20_000,
    { exact_copy: 412, older_version: 2_204, lower_precedence: 1_506 },
    { MISSING_ORDER_ID: 61, MISSING_CUSTOMER_ID: 88, BAD_TYPE_ORDERED_AT: 40, INVALID_VALUE_REGION: 112 },
  ),
  dataset(
    "order_items",
    29_870,
    { exact_copy: 620, older_version: 1_440, lower_precedence: 302 },
    { BELOW_MINIMUM_UNIT_PRICE: 140, MISSING_PRODUCT_ID: 37 },
  ),
  dataset("customers", 3_000, { older_version: 212 }, { TOO_LONG_EMAIL: 4 }),
  dataset("products", 240, {}, {}),
  dataset(
    "transactions",
    10_021,
    { exact_copy: 288, already_loaded: 0 },
    { TRUNCATED_LINE: 96, BAD_ENCODING: 54, BELOW_MINIMUM_AMOUNT: 61 },
  ),
  {
    ...dataset("inventory", 1_440, { exact_copy: 12 }, { TOO_MANY_FIELDS: 3 }),
    refused: [
      {
        object: "s3://securecart-local-landing/drops/inventory/2026-08-01.csv.gz",
        reason: "TRUNCATED_GZIP",
        detail: "The file ends after 18,204 of an announced 40,112 bytes; send it again under a new name.",
      },
    ],
  },
  dataset("campaigns", 214, {}, { RECIPE_REMOVED: 26 }),
];

const categories = [
  "Electronics",
  "Home & Kitchen",
  "Fashion",
  "Sports & Outdoors",
  "Beauty",
  "Toys",
  "Groceries",
  "Books",
  "Uncategorised",
];
const regions = ["us-east", "us-west", "eu-north", "eu-south", "apac", "latam"];

/** Cents as an exact decimal of four places, as the curated tables hold them. */
const amount = (cents: number): string =>
  `${Math.trunc(cents / 100)}.${String(cents % 100).padStart(2, "0")}00`;

/** A small generator of repeatable numbers in [0, 1); any will do here. */
function sequence(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

/** Rows whose nets are the given cents, with discounts and returns to match. */
/** Rows whose nets are the given cents, with discounts and returns to match. */
function rows(nets: ReadonlyMap<string, number>, seed: number): RevenueRow[] {
  const random = sequence(seed);
  return [...nets].map(([label, net]) => {
    const [discount, returned] = [Math.round(net * 0.06 * random()), Math.round(net * 0.09 * random())];
    return {
      label,
      gross: amount(net + discount + returned),
      discount: amount(discount),
      returned: amount(returned),
      net: amount(net),
      orders: Math.round(net / 8_100),
      units: Math.round(net / 4_350),
    };
  });
}

/** Ninety days of sales; by category, region and day the net totals agree. */
function revenue(): Revenue {
  const random = sequence(7);
  const byDay: DayRevenue[] = [];
  const byCategory = new Map<string, number>();
  for (let day = 0; day < 90; day++) {
    const date = new Date(Date.parse("2026-05-04T00:00:00Z") + day * 86_400_000).toISOString().slice(0, 10);
    const weekend = day % 7 > 4 ? 1.5 : 1;
    for (const [index, category] of categories.entries()) {
      const net = Math.round((1_080_000 / (index + 1.8)) * weekend * (0.6 + 0.8 * random()));
      byDay.push({ day: date, category, net: amount(net) });
      byCategory.set(category, (byCategory.get(category) ?? 0) + net);
    }
  }
  const total = [...byCategory.values()].reduce((sum, net) => sum + net, 0);
  const shares = [0.31, 0.22, 0.16, 0.12, 0.11];
  const byRegion = new Map<string, number>();
  let rest = total;
  for (const [index, region] of regions.entries()) {
    const net = index < shares.length ? Math.round(total * (shares[index] ?? 0)) : rest;
    byRegion.set(region, net);
    rest -= net;
  }
  return { currency: "USD", byCategory: rows(byCategory, 1), byRegion: rows(byRegion, 2), byDay };
}

function orderRows(): string[][] {
  const random = sequence(3);
  return Array.from({ length: 50 }, (_, index) => {
    const region = regions[index % regions.length] ?? "apac";
    const net = Math.round(random() * 40_000) + 500;
    return [
      `SO-${String(100_001 + index)}`,
      "2026-08-01",
      `${String(23 - Math.floor(index / 4)).padStart(2, "0")}:${String((index * 17) % 60).padStart(2, "0")}:04`,
      region === "us-east" ? "America/New_York" : "Europe/Stockholm",
      region,
      index % 9 === 0 ? "cancelled" : "shipped",
      "web",
      String(1 + (index % 4)),
      region === "us-east" ? "USD" : "EUR",
      amount(net).slice(0, -2),
      amount(net),
      "consumer",
      "35-44",
    ];
  });
}

/** A successful run over the default sample, with one refused object and one warning. */
export function exampleReport(): ReportData {
  return {
    version: 1,
    run: {
      batchId: "20260802T140509Z-3f9c",
      status: "SUCCEEDED",
      started: at(0),
      ended: at(52),
      mode: "incremental",
      seed: 42,
    },
    steps,
    datasets,
    quality: [
      {
        dataset: "orders",
        rule: "is complete",
        column: "customer_id",
        severity: "error",
        passed: true,
        failedRows: 88,
        share: 0.0036,
        threshold: 0.05,
      },
      {
        dataset: "orders",
        rule: "is unique",
        column: "order_id",
        severity: "error",
        passed: true,
        failedRows: 0,
        share: 0,
        threshold: 0,
      },
      {
        dataset: "orders",
        rule: "is a known region",
        column: "region",
        severity: "error",
        passed: true,
        failedRows: 112,
        share: 0.0046,
        threshold: 0.05,
      },
      {
        dataset: "order_items",
        rule: "is at least 0",
        column: "unit_price",
        severity: "error",
        passed: true,
        failedRows: 140,
        share: 0.0043,
        threshold: 0.05,
      },
      {
        dataset: "order_items",
        rule: "refers to a product",
        column: "product_id",
        severity: "warning",
        passed: false,
        failedRows: 512,
        share: 0.0158,
        threshold: 0.01,
      },
      {
        dataset: "transactions",
        rule: "freshness",
        severity: "warning",
        passed: false,
        failedRows: 0,
        share: 0,
        threshold: 0,
        found: "the newest record is 49 h old, promised are at most 24 h",
      },
      {
        dataset: "customers",
        rule: "is complete",
        column: "email",
        severity: "warning",
        passed: true,
        failedRows: 4,
        share: 0.0012,
        threshold: 0.02,
      },
    ],
    revenue: revenue(),
    orderHistory: {
      columns: [
        "order_id",
        "order_date_local",
        "order_time_local",
        "time_zone",
        "region",
        "status",
        "channel",
        "line_count",
        "currency",
        "net_amount",
        "net_amount_usd",
        "customer_segment",
        "age_band",
      ],
      rows: orderRows(),
      totalRows: 20_000,
      omitted: ["customer_name", "ip_address"],
    },
    storage: [
      {
        dataset: "transactions",
        csv: { bytes: 1_214_880, files: 12 },
        parquet: { bytes: 318_420, files: 24 },
        onePartition: {
          filter: "region = eu-north",
          csv: { bytes: 1_214_880, files: 12 },
          parquet: { bytes: 52_110, files: 4 },
        },
      },
    ],
    tables: [
      { layer: "staging", table: "orders", rows: 20_000 },
      { layer: "staging", table: "order_items", rows: 29_870 },
      { layer: "staging", table: "customers", rows: 3_000 },
      { layer: "curated", table: "order_history", rows: 20_000 },
      { layer: "curated", table: "category_revenue", rows: 2_871 },
      { layer: "mart", table: "order_history", rows: 20_000 },
      { layer: "mart", table: "category_revenue", rows: 2_871 },
    ],
    summaries: [],
  };
}

/** A run over a user's own CSV: no sales of SecureCart, two summaries. */
export function userReport(): ReportData {
  return {
    ...bareReport(),
    run: {
      batchId: "20260802T151500Z-9a01",
      status: "SUCCEEDED",
      started: at(0),
      ended: at(14),
      mode: "contract superstore_orders",
    },
    steps: [
      step("Plan", 0, 0.2),
      step("Extract", 0.3, 6, { rowsOut: 9_994 }),
      step("Load", 9, 4, { rowsIn: 9_993, rowsOut: 9_993 }),
    ],
    datasets: [dataset("superstore_orders", 9_993, { exact_copy: 1 }, {})],
    tables: [{ layer: "mart", table: "superstore_orders", rows: 9_993 }],
    summaries: [
      {
        title: "Sales by category",
        dimension: "Category",
        measure: "Sales",
        rows: [
          ["Furniture", "741718.4233"],
          ["Office Supplies", "719047.0320"],
          ["Technology", "836154.0330"],
        ],
      },
      {
        title: "Sales by region",
        dimension: "Region",
        measure: "Sales",
        rows: [
          ["Central", "501239.8908"],
          ["East", "678499.8680"],
          ["South", "391721.9050"],
          ["West", "725457.8245"],
        ],
      },
    ],
  };
}

function bareReport(): ReportData {
  return {
    version: 1,
    run: {
      batchId: "20260802T150000Z-77aa",
      status: "NOTHING_NEW",
      started: at(0),
      ended: at(0.6),
      mode: "incremental",
      seed: 42,
    },
    steps: [],
    datasets: [],
    quality: [],
    storage: [],
    tables: [],
    summaries: [],
  };
}

/** A second run that found nothing to do. */
export function nothingNewReport(): ReportData {
  return { ...bareReport(), steps: [step("Plan", 0, 0.5)] };
}

/** A run that failed while extracting: one step failed, one was cut off, one never came. */
export function failedReport(): ReportData {
  return {
    ...bareReport(),
    run: {
      ...bareReport().run,
      status: "FAILED",
      ended: at(8),
      error: {
        step: "Extract",
        cause: "drops/transactions/2026-08-01.csv: line 3,118 is longer than 10 MB (LINE_TOO_LONG)",
        remedy: "Send the file again with line breaks, then run: npm start -- --from extract",
      },
    },
    steps: [
      step("Plan", 0, 0.5),
      {
        ...step("Extract", 0.6, 7.2, { status: "FAILED", attempts: 3 }),
        segments: [
          step("csv_to_parquet", 0.6, 7.2, { status: "FAILED", attempts: 3 }),
          { name: "extract_mysql", started: at(0.6), status: "ABORTED", attempts: 1 },
        ],
      },
      step("Rollback", 7.9, 0, { status: "SKIPPED", attempts: 0 }),
    ],
  };
}

/** A run that failed before it had a plan, with nothing but the error. */
export function stillbornReport(): ReportData {
  const { run, ...rest } = bareReport();
  return {
    ...rest,
    run: {
      ...run,
      status: "FAILED",
      error: { cause: "The output directory is not writable.", remedy: "Choose another with --out." },
    },
  };
}
