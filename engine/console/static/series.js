// Rates and percentiles from looks at the cluster. Pure.

// Of a counter, over all nodes.
export function perSecond(name, look) {
  return look.rates[name] || 0;
}

// Seconds below which `share` of what was observed in the last `over` looks was: the upper bound of its bucket. null:
// nothing was.
export function quantile(name, share, context, looks, over = 10, last = looks.length - 1) {
  const bounds = context.about.bounds[name];
  const counts = new Array(bounds.length + 1).fill(0);
  for (const look of looks.slice(Math.max(0, last + 1 - over), last + 1)) {
    look.buckets[name].forEach((number, index) => (counts[index] += number));
  }
  const all = counts.reduce((sum, number) => sum + number, 0);
  if (!all) return null;
  let seen = 0;
  for (let index = 0; index < counts.length; index += 1) {
    seen += counts[index];
    if (seen >= share * all) return bounds[Math.min(index, bounds.length - 1)];
  }
  return bounds.at(-1);
}
