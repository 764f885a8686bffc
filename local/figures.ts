/** The figures of a report that come from the tables: revenue, order history, a user's summaries, storage. */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import type { Contract } from "../contracts/contract.ts";
import { streamProgress } from "./clickstream.ts";
import type {
  Behaviour,
  FileSet,
  FraudRisk,
  OrderHistory,
  ReportData,
  Revenue,
  RevenueRow,
  StorageComparison,
  Summary,
} from "./report/types.ts";
import type { Services } from "./services.ts";
import type { Warehouse } from "./warehouse/warehouse.ts";
import { buckets, type Workspace } from "./workspace.ts";

const summarySchema = z.array(z.object({ dimension: z.string(), measure: z.string() }));
const documentSchema = z.looseObject({
  customProperties: z.array(z.looseObject({ property: z.string(), value: z.unknown() })).default([]),
});

/** The report shows what BI sees: it reads the warehouse in that role, so personal columns cannot slip in. */
const reader = { as: "bi_reader" };

const textOf = (value: string | null | undefined): string => value ?? "";

async function revenueBy(warehouse: Warehouse, dimension: "category" | "region"): Promise<RevenueRow[]> {
  const { rows } = await warehouse.query(
    `SELECT ${dimension}, SUM(gross_amount_usd), SUM(discount_amount_usd), SUM(returned_amount_usd), SUM(net_amount_usd),
            SUM(orders), SUM(units)
     FROM mart.category_revenue GROUP BY ${dimension} ORDER BY SUM(net_amount_usd) DESC`,
    reader,
  );
  return rows.map(([label, gross, discount, returned, net, orders, units]) => ({
    label: textOf(label),
    gross: textOf(gross),
    discount: textOf(discount),
    returned: textOf(returned),
    net: textOf(net),
    orders: Number(orders),
    units: Number(units),
  }));
}

async function revenueOf(warehouse: Warehouse): Promise<Revenue> {
  const days = await warehouse.query(
    `SELECT revenue_date, category, SUM(net_amount_usd) FROM mart.category_revenue
     GROUP BY revenue_date, category ORDER BY revenue_date, category`,
    reader,
  );
  return {
    currency: "USD",
    byCategory: await revenueBy(warehouse, "category"),
    byRegion: await revenueBy(warehouse, "region"),
    byDay: days.rows.map(([day, category, net]) => ({
      day: textOf(day),
      category: textOf(category),
      net: textOf(net),
    })),
  };
}

/** Columns of the order history that a page shows; the table has more. */
const historyColumns = [
  "order_id",
  "order_date_local",
  "order_time_local",
  "time_zone",
  "region",
  "status",
  "units",
  "currency",
  "net_amount",
  "net_amount_usd",
  "ip_country",
  "customer_segment",
  "age_band",
];

async function historyOf(warehouse: Warehouse, contract: Contract): Promise<OrderHistory> {
  const page = await warehouse.query(
    `SELECT ${historyColumns.join(", ")} FROM mart.order_history ORDER BY ordered_at DESC, order_id LIMIT 50`,
    reader,
  );
  const total = await warehouse.query("SELECT COUNT(*) FROM mart.order_history", reader);
  return {
    columns: historyColumns,
    rows: page.rows,
    totalRows: Number(total.rows[0]?.[0] ?? 0),
    omitted: contract.columns.filter(({ personal }) => personal).map(({ name }) => name),
  };
}

/** Undefined while the stream has received nothing. */
async function behaviourOf(workspace: Workspace, warehouse: Warehouse): Promise<Behaviour | undefined> {
  const progress = await streamProgress(workspace);
  if (!progress) return undefined;
  const stages = {
    "all sessions": "sessions",
    "saw a product": "viewed_product",
    "filled a cart": "added_to_cart",
    "began the checkout": "began_checkout",
    bought: "purchased",
  };
  const sums = Object.values(stages).map((column) => `SUM(${column})`);
  const { rows } = await warehouse.query(`SELECT ${sums.join(", ")} FROM mart.session_funnel`, reader);
  const days = await warehouse.query(
    "SELECT funnel_date, SUM(sessions) FROM mart.session_funnel GROUP BY funnel_date ORDER BY funnel_date",
    reader,
  );
  const carts = await warehouse.query("SELECT COUNT(*) FROM mart.abandoned_carts", reader);
  return {
    funnel: Object.keys(stages).map((stage, index) => ({ stage, sessions: Number(rows[0]?.[index] ?? 0) })),
    sessionsByDay: days.rows.map(([day, sessions]) => ({ day: textOf(day), sessions: Number(sessions) })),
    abandonedCarts: Number(carts.rows[0]?.[0] ?? 0),
    stream: progress.total,
  };
}

/** Scores as BI sees them: decisions by method, and the highest risks. */
async function fraudOf(warehouse: Warehouse): Promise<FraudRisk> {
  const counted = await warehouse.query(
    `SELECT method, decision, COUNT(*), SUM(CASE WHEN alert THEN 1 ELSE 0 END)
     FROM mart.fraud_scores GROUP BY method, decision ORDER BY method, decision`,
    reader,
  );
  const highest = await warehouse.query(
    `SELECT transaction_id, probability, reasons FROM mart.fraud_scores
     ORDER BY probability DESC, transaction_id LIMIT 10`,
    reader,
  );
  return {
    decisions: counted.rows.map(([method, decision, transactions]) => ({
      method: textOf(method),
      decision: textOf(decision),
      transactions: Number(transactions),
    })),
    alerts: counted.rows.reduce((sum, row) => sum + Number(row[3]), 0),
    highest: highest.rows.map(([transaction, score, reasons]) => ({
      transaction: textOf(transaction),
      score: Number(score),
      reasons: textOf(reasons),
    })),
  };
}

/** The figures that a contract's customProperty `summaries` asks for: a measure summed by a dimension. */
async function summariesOf(warehouse: Warehouse, contract: Contract): Promise<Summary[]> {
  const { customProperties } = documentSchema.parse(contract.document);
  const wanted = customProperties.find(({ property }) => property === "summaries");
  const summaries: Summary[] = [];
  for (const { dimension, measure } of summarySchema.parse(wanted?.value ?? [])) {
    const { rows } = await warehouse.query(
      `SELECT ${dimension}, SUM(${measure}) FROM mart.${contract.warehouse?.table} GROUP BY ${dimension} ORDER BY ${dimension}`,
      reader,
    );
    summaries.push({
      title: `${contract.name}: ${measure} by ${dimension}`,
      dimension,
      measure,
      rows: rows.map(([label, value]) => [textOf(label), textOf(value)] as const),
    });
  }
  return summaries;
}

async function filesBelow(folder: string): Promise<FileSet> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(async (file) => (await stat(path.join(file.parentPath, file.name))).size),
  );
  return { files: files.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/** CSV drops against the table they became. A CSV has no partitions: one region's rows mean reading all of it. */
async function storageOf(
  workspace: Workspace,
  { spark }: Services,
  contract: Contract,
): Promise<StorageComparison> {
  const csv = await filesBelow(path.join(workspace.lake, buckets.landing, "drops", contract.name));
  const found = await spark.request<Record<"files" | "bytes" | "opened_files" | "opened_bytes", number>>(
    "storage",
    {
      table: `staging.lake.${contract.name}`,
      column: "region",
      value: "eu-north",
    },
  );
  return {
    dataset: contract.name,
    csv,
    parquet: { bytes: found.bytes, files: found.files },
    onePartition: {
      filter: "region = eu-north",
      csv,
      parquet: { bytes: found.opened_bytes, files: found.opened_files },
    },
  };
}

/** Everything a report says about the tables as they are now. */
export async function figuresOf(
  workspace: Workspace,
  services: Services,
  contracts: readonly Contract[],
): Promise<
  Pick<ReportData, "revenue" | "orderHistory" | "behaviour" | "fraud" | "storage" | "tables" | "summaries">
> {
  const { warehouse, spark } = services;
  const named = new Map(contracts.map((contract) => [contract.name, contract]));
  const history = named.get("order_history");
  const transactions = named.get("transactions");
  const lakeTables = contracts
    .filter(({ zone, storage }) => zone !== "source" && storage !== "parquet")
    .map(({ zone, name }) => `${zone}.lake.${name}`);
  const [rows, storage] = await Promise.all([
    spark.request<Record<string, number>>("table_rows", { tables: lakeTables }),
    transactions ? storageOf(workspace, services, transactions) : undefined,
  ]);
  const tables = Object.entries(rows).map(([table, count]) => {
    const [layer = "", , name = ""] = table.split(".");
    return { layer, table: name, rows: count };
  });
  for (const { warehouse: target } of contracts) {
    if (!target) continue;
    const { rows: counted } = await warehouse.query(`SELECT COUNT(*) FROM mart.${target.table}`, reader);
    tables.push({ layer: "mart", table: target.table, rows: Number(counted[0]?.[0] ?? 0) });
  }
  const summaries = await Promise.all(
    contracts.filter((contract) => contract.warehouse).map((contract) => summariesOf(warehouse, contract)),
  );
  const behaviour = named.has("session_funnel") ? await behaviourOf(workspace, warehouse) : undefined;
  return {
    ...(behaviour && { behaviour }),
    ...(named.has("fraud_scores") && { fraud: await fraudOf(warehouse) }),
    ...(history && {
      revenue: await revenueOf(warehouse),
      orderHistory: await historyOf(warehouse, history),
    }),
    storage: storage ? [storage] : [],
    tables,
    summaries: summaries.flat(),
  };
}
