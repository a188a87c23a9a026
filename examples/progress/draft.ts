const TEXT = `The river stood at 2.31 metres on Monday morning and rose by eleven centimetres until the evening. \
Rain in the hills explains most of that; the rest is the lock at the old mill, which was opened at noon. On Tuesday \
it fell again, slowly, and by Wednesday it was back where it had been.

Two of the measurements were taken with the gauge upside down. They are left out, and the gauge has been turned. None \
of the others is further than two centimetres from what the model says, so there is no reason to change it.`;

/** A report, split into words with what follows each. */
export const DRAFT: readonly string[] = TEXT.match(/\S+\s*/g)!;
