/**
 * What a run tells about itself. The CLI fills one {@link ReportData}, writes it as `report.json` and renders it
 * as `report.html`; the terminal's summary is printed from the same object, so that all three always agree.
 *
 * Conventions: instants are ISO 8601 strings in UTC; counts are whole numbers of records, rows or files; amounts
 * are exact decimals as strings (`"741718.4233"`) and are printed as they are; shares are fractions of 1.
 */
export interface ReportData {
  /** Version of this format, so that an older `report.json` is recognised. */
  readonly version: 1;
  readonly run: RunInfo;
  /** In the order in which they started. Empty when the run failed before its first step. */
  readonly steps: readonly Step[];
  readonly datasets: readonly DatasetBalance[];
  readonly quality: readonly QualityResult[];
  /** Absent when the run has no SecureCart sales, for example a user's own CSV. */
  readonly revenue?: Revenue;
  /** Absent when the run has no order history. */
  readonly orderHistory?: OrderHistory;
  /** Absent when the run knows no clickstream. */
  readonly behaviour?: Behaviour;
  /** Absent when the run scores no transactions. */
  readonly fraud?: FraudRisk;
  /** CSV against Parquet, one entry a dataset that was converted. */
  readonly storage: readonly StorageComparison[];
  /** Row counts after the run. */
  readonly tables: readonly TableCount[];
  /** Figures of a dataset the user brought, one chart and one table each. */
  readonly summaries: readonly Summary[];
}

export type RunStatus = "SUCCEEDED" | "FAILED" | "NOTHING_NEW";

export interface RunInfo {
  readonly batchId: string;
  readonly status: RunStatus;
  /** Present exactly when `status` is FAILED. */
  readonly error?: RunError;
  readonly started: string;
  readonly ended: string;
  /** What was asked for: incremental, backfill, replay; free text such as "backfill 2026-08-01..2026-08-07". */
  readonly mode: string;
  /** Seed of the sample data; absent when the run read the user's own data. */
  readonly seed?: number;
}

export interface RunError {
  /** The step that failed; absent when no step had started. */
  readonly step?: string;
  /** What went wrong and where. */
  readonly cause: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** ABORTED: the run ended before this step did. SKIPPED: the plan had nothing for it. */
export type StepStatus = "SUCCEEDED" | "FAILED" | "SKIPPED" | "ABORTED";

/** A step of the workflow, or a part of one: segments nest to any depth. */
export interface Step {
  readonly name: string;
  readonly started: string;
  /** Absent when it never ended; it is then drawn to the end of the run. */
  readonly ended?: string;
  readonly status: StepStatus;
  /** 1 when it worked the first time; 0 when it was skipped. */
  readonly attempts: number;
  /** Absent where rows have no meaning. */
  readonly rowsIn?: number;
  readonly rowsOut?: number;
  readonly segments?: readonly Step[];
}

/** Where every record of a dataset went: `read = loaded + deduplicated + quarantined`. */
export interface DatasetBalance {
  readonly name: string;
  readonly read: number;
  readonly loaded: number;
  /** Records by reason: exact_copy, older_version, lower_precedence, already_loaded. */
  readonly deduplicated: Readonly<Record<string, number>>;
  /** Records by reason code, for example MISSING_CUSTOMER_ID. */
  readonly quarantined: Readonly<Record<string, number>>;
  /** Whole objects that were not read; their records are not part of `read`. */
  readonly refused: readonly RefusedObject[];
}

export interface RefusedObject {
  readonly object: string;
  readonly reason: string;
  readonly detail: string;
}

export interface QualityResult {
  readonly dataset: string;
  readonly rule: string;
  /** Absent for a rule about the whole dataset. */
  readonly column?: string;
  /** A failed `error` stops the load, a failed `warning` does not. */
  readonly severity: "error" | "warning";
  readonly passed: boolean;
  readonly failedRows: number;
  /** What was found, for a rule that counts no rows. */
  readonly found?: string;
  /** Failed rows as a fraction of the rows checked. */
  readonly share: number;
  /** The greatest share that passes. */
  readonly threshold: number;
}

export interface Revenue {
  /** ISO 4217 code of every amount below. */
  readonly currency: string;
  readonly byCategory: readonly RevenueRow[];
  readonly byRegion: readonly RevenueRow[];
  /** Net revenue a day and category; a day without sales may be left out. */
  readonly byDay: readonly DayRevenue[];
}

/** gross = net + returned + discount. */
export interface RevenueRow {
  readonly label: string;
  readonly gross: string;
  readonly discount: string;
  readonly returned: string;
  readonly net: string;
  readonly orders: number;
  readonly units: number;
}

export interface DayRevenue {
  /** YYYY-MM-DD */
  readonly day: string;
  readonly category: string;
  readonly net: string;
}

/** A page of the order history. The caller leaves columns with personal data out and names them in `omitted`. */
export interface OrderHistory {
  readonly columns: readonly string[];
  /** Values as text, exact decimals included; null is shown as a dash. */
  readonly rows: readonly (readonly (string | null)[])[];
  /** Rows of the whole table. */
  readonly totalRows: number;
  /** Columns left out because they hold personal data. */
  readonly omitted: readonly string[];
}

/** What visitors did, from the clickstream. */
export interface Behaviour {
  /** Sessions with an event of each stage; the first entry counts all of them. */
  readonly funnel: readonly { readonly stage: string; readonly sessions: number }[];
  readonly sessionsByDay: readonly { readonly day: string; readonly sessions: number }[];
  readonly abandonedCarts: number;
  /** Records since the stream began: `received = accepted + deduplicated + quarantined`. */
  readonly stream: {
    readonly received: number;
    readonly accepted: number;
    readonly deduplicated: Readonly<Record<string, number>>;
    readonly quarantined: Readonly<Record<string, number>>;
  };
}

/** Scores of all transactions after the run. */
export interface FraudRisk {
  readonly decisions: readonly {
    /** "model" or "rules". */
    readonly method: string;
    /** "review" or "pass". */
    readonly decision: string;
    readonly transactions: number;
  }[];
  readonly alerts: number;
  /** Highest first; scores from 0 to 1. */
  readonly highest: readonly {
    readonly transaction: string;
    readonly score: number;
    readonly reasons: string;
  }[];
}

/** The same rows as CSV and as partitioned Parquet, and what a query on one partition has to read of each. */
export interface StorageComparison {
  readonly dataset: string;
  readonly csv: FileSet;
  readonly parquet: FileSet;
  /** What reading one partition opens; absent when the dataset is not partitioned. */
  readonly onePartition?: {
    /** For example "region = eu-north". */
    readonly filter: string;
    readonly csv: FileSet;
    readonly parquet: FileSet;
  };
}

export interface FileSet {
  readonly bytes: number;
  readonly files: number;
}

export interface TableCount {
  /** staging, curated, mart, quarantine, … */
  readonly layer: string;
  readonly table: string;
  readonly rows: number;
}

export interface Summary {
  readonly title: string;
  /** Heading of the labels, for example "Category". */
  readonly dimension: string;
  /** Heading of the values, for example "Sales". */
  readonly measure: string;
  /** Label and exact decimal. */
  readonly rows: readonly (readonly [label: string, value: string])[];
}
