/** One metric of several systems with its intervals, as text. */
export function describeScores(metric, systems) {
  return systems
    .map(
      ({
        name,
        scores: {
          [metric]: { value, low, high },
        },
      }) => `${name} ${three(value)} (${three(low)}–${three(high)})`,
    )
    .join(", ");
}

const three = (value) => value.toFixed(3);
