import { formatCount } from "../../terminal/format.ts";
import { barFigure } from "../bars.ts";
import { colour } from "../chart.ts";
import { daysFigure } from "../days.ts";
import { type Html, html } from "../html.ts";
import { folded, plural, type Section, shortNumber, table } from "../parts.ts";
import type { Behaviour, ReportData } from "../types.ts";
import { everyDay } from "./business.ts";

const numeric = true;

function funnelFigure({ funnel }: Behaviour): Html {
  const all = funnel[0]?.sessions ?? 0;
  const share = (sessions: number): string => (all > 0 ? `${((100 * sessions) / all).toFixed(1)} %` : "–");
  const columns = [{ title: "Stage" }, { title: "Sessions", numeric }, { title: "Share", numeric }];
  return barFigure(
    {
      id: "funnel",
      title: "Sessions that reached each stage",
      description: "From all sessions to those with a purchase; figures in the table below.",
    },
    funnel.map(({ stage, sessions }) => ({ label: stage, parts: [sessions], end: share(sessions) })),
    { colours: [colour.main], tick: shortNumber, whole: true },
    table(
      "Sessions that reached each stage",
      columns,
      funnel.map(({ stage, sessions }) => [stage, formatCount(sessions), share(sessions)]),
    ),
  );
}

function daysOf({ sessionsByDay }: Behaviour): Html {
  const days = everyDay(sessionsByDay.map(({ day }) => day));
  const byDay = new Map(sessionsByDay.map(({ day, sessions }) => [day, sessions]));
  const values = days.map((day) => byDay.get(day) ?? 0);
  const total = values.reduce((sum, value) => sum + value, 0);
  return daysFigure(
    {
      id: "sessions-days",
      title: "Sessions by day",
      description: `A line over ${plural(days.length, "day")} from ${days[0]} to ${days.at(-1)}; figures in the table below.`,
    },
    days,
    [{ name: "Sessions", total: shortNumber(total), values }],
    shortNumber,
    folded(
      "The same as a table",
      table(
        "Sessions by day",
        [{ title: "Day" }, { title: "Sessions", numeric }],
        days.map((day, index) => [day, formatCount(values[index] ?? 0)]),
      ),
    ),
  );
}

function streamTable({ stream }: Behaviour): Html {
  const reasons = (what: string, counts: Readonly<Record<string, number>>): [string, string, string][] =>
    Object.entries(counts).map(([reason, count]) => [what, reason, formatCount(count)]);
  return table(
    "Where the stream's records went, since it began",
    [{ title: "Outcome" }, { title: "Reason" }, { title: "Records", numeric }],
    [
      ["accepted", "", formatCount(stream.accepted)],
      ...reasons("duplicate", stream.deduplicated),
      ...reasons("quarantined", stream.quarantined),
    ],
    ["received", "", formatCount(stream.received)],
  );
}

/** Behaviour in the shop: the funnel, sessions by day, and the balance of the stream they come from. */
export function behaviourSection({ behaviour }: ReportData): Section | undefined {
  const all = behaviour?.funnel[0]?.sessions ?? 0;
  if (!behaviour || all === 0) return undefined;
  const bought = behaviour.funnel.at(-1)?.sessions ?? 0;
  return {
    id: "behaviour",
    title: "Behaviour in the shop",
    gist: `${formatCount(bought)} of ${formatCount(all)} sessions ended in a purchase; ${plural(behaviour.abandonedCarts, "cart")} left behind.`,
    content: [funnelFigure(behaviour), daysOf(behaviour), html`${streamTable(behaviour)}`],
  };
}
