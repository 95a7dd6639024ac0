// Loaded before every test: properties draw the same cases on every run, so that a red run tells of the change in hand.
// Hunt for new cases with PROPERTY_SEED=random, or any number; a failing property prints the seed it had.
import fc from 'fast-check'

const asked = process.env['PROPERTY_SEED'] ?? '1'
if (asked !== 'random') fc.configureGlobal({ seed: Number(asked) })
