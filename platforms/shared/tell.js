/** Writes an outcome into the page, where the test reads it. */
export function tell(outcome) {
  const element = document.createElement("pre");
  element.dataset.outcome = JSON.stringify(outcome);
  element.textContent = JSON.stringify(outcome, null, 2);
  document.body.append(element);
}
