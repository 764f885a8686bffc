/** Further facts of a log line; their names are searched for, so they stay the same everywhere. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Structured logging: one JSON object a line, with `level`, `time`, `message` and the bound fields. */
export interface Logger {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line, for example the batch id. */
  with(fields: LogFields): Logger;
}

export type LogLevel = "info" | "warn" | "error";
/** Takes a finished line without its line end. */
export type LogSink = (level: LogLevel, line: string) => void;

const toConsole: LogSink = (level, line) => {
  const stream = level === "info" ? process.stdout : process.stderr;
  stream.write(`${line}\n`);
};

/** Logs JSON lines: info to stdout, warnings and errors to stderr, unless another sink is given. */
export function jsonLogger(sink: LogSink = toConsole, bound: LogFields = {}): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      sink(level, JSON.stringify({ level, time: new Date().toISOString(), message, ...bound, ...fields }));
  return {
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    with: (fields) => jsonLogger(sink, { ...bound, ...fields }),
  };
}
