// Rates and percentiles from looks at counters that only grow. Pure.

// Of a counter, between two looks.
export function perSecond(name, before, now) {
  if (!before) return 0;
  const seconds = (now.time_ms - before.time_ms) / 1000;
  return seconds > 0 ? Math.max(0, now.sums[name] - before.sums[name]) / seconds : 0;
}

// Seconds below which `share` of the observations of the last looks were: the upper bound of their bucket. null: none.
export function quantile(name, share, context, looks, over = 10) {
  return quantileBetween(name, share, context, looks[Math.max(0, looks.length - 1 - over)], looks.at(-1));
}

export function quantileBetween(name, share, context, before, now) {
  const bounds = context.about.bounds[name];
  const counts = now.buckets[name].map((number, index) => Math.max(0, number - (before?.buckets[name][index] || 0)));
  const all = counts.reduce((sum, number) => sum + number, 0);
  if (!all || before === now) return null;
  let seen = 0;
  for (let index = 0; index < counts.length; index += 1) {
    seen += counts[index];
    if (seen >= share * all) return bounds[Math.min(index, bounds.length - 1)];
  }
  return bounds.at(-1);
}
