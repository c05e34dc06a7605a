//! Evolutionary search: candidates are made from good ones, ranked by prediction, and the best of
//! them measured.
//!
//! Kernels take turns; each turn goes to the kernel with most to gain, by its predicted share of
//! the time and by how long it has gained nothing. All that depends on the machine or the clock
//! comes in through [`Bench`].

use super::space::{directive, mixed_knobs, other_knobs};
use super::{Knobs, Tuning};
use fastrand::Rng;
use indexmap::IndexMap;
use std::collections::HashSet;
use tcc_ir::graph::Module;
use tcc_ir::kernel::Kernel;
use tcc_ir::schedule::Directive;

/// Candidates that a turn makes, and those of them that it measures.
const MADE: usize = 24;
const MEASURED: usize = 5;
/// Good candidates of a kernel that are kept as parents.
const PARENTS: usize = 6;
/// What a candidate must be faster by to count, so that noise does not.
const GAIN: f64 = 0.98;

/// Nanoseconds of the best program so far, and of a candidate.
pub type BeforeAfter = (f64, f64);

/// What a search runs on.
pub struct Bench<'a> {
    /// Lowers the program with the knobs of a tuning and applies its schedules.
    pub lower: &'a mut dyn FnMut(&Tuning) -> Result<Module, String>,
    /// Predicts the time of a lowered program, and of each of its kernels.
    pub predict: &'a dyn Fn(&Module) -> IndexMap<String, f64>,
    /// Compiles a lowered program, checks its results and measures it, in nanoseconds.
    pub measure: &'a mut dyn FnMut(&Module) -> Result<f64, String>,
    /// Measures a program against the best one so far, in turns: the times of both.
    pub compare: &'a mut dyn FnMut(&Module, &Module) -> Result<BeforeAfter, String>,
    /// Is told of every gain: the kernel, the tuning, the times before and after.
    pub gained: &'a mut dyn FnMut(&str, &Tuning, BeforeAfter),
    /// Says that it is time to end.
    pub stop: &'a dyn Fn() -> bool,
}

/// What a search did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The best choices.
    pub tuning: Tuning,
    /// Candidates that were made, that were legal, and that were measured.
    pub made: usize,
    /// See `made`.
    pub legal: usize,
    /// See `made`.
    pub measured: usize,
    /// Candidates that were refused, by the reason.
    pub refused: IndexMap<String, usize>,
}

/// A kernel to tune.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunable {
    /// Its name.
    pub kernel: String,
    /// The names of each of its definitions with knobs: one in every kernel that is made alike.
    pub definitions: Vec<Vec<String>>,
}

/// The choices for one kernel; knobs in the order of its definitions.
#[derive(Clone, Debug, Default, PartialEq)]
struct Choice {
    knobs: Vec<Knobs>,
    directives: Vec<Directive>,
}

/// A choice with the kernel that it makes and the program's time.
struct Parent {
    choice: Choice,
    kernel: Kernel,
    time: f64,
}

/// A kernel with its good choices.
struct Subject {
    tunable: Tunable,
    parents: Vec<Parent>,
    seen: HashSet<String>,
    share: f64,
    /// Turns without a gain.
    idle: usize,
}

impl Choice {
    fn text(&self) -> String {
        let knobs = self.knobs.iter().map(|k| format!("{k}; "));
        let directives = self.directives.iter().map(|d| format!("{d}; "));
        knobs.chain(directives).collect()
    }

    /// The tuning with this choice for a kernel.
    fn within(&self, tuning: &Tuning, subject: &Subject) -> Tuning {
        let mut out = tuning.clone();
        for (names, k) in subject.tunable.definitions.iter().zip(&self.knobs) {
            for name in names {
                out.knobs.shift_remove(name);
                if *k != Knobs::default() {
                    out.knobs.insert(name.clone(), *k);
                }
            }
        }
        out.schedules.shift_remove(&subject.tunable.kernel);
        if !self.directives.is_empty() {
            out.schedules.insert(subject.tunable.kernel.clone(), self.directives.clone());
        }
        out
    }
}

/// Searches for better choices for these kernels of a program until it is told to stop, or nothing
/// is left to try. The same seed and the same answers give the same outcome.
pub fn search(kernels: &[Tunable], seed: u64, bench: &mut Bench<'_>) -> Result<Outcome, String> {
    let mut rng = Rng::with_seed(seed);
    let mut out = Outcome::default();
    let mut best = (bench.lower)(&out.tuning)?;
    let mut time = (bench.measure)(&best)?;
    let predicted = (bench.predict)(&best);
    let mut subjects: Vec<Subject> = kernels
        .iter()
        .filter_map(|tunable| {
            let kernel = best.kernels.get(&tunable.kernel)?;
            let knobs = vec![Knobs::default(); tunable.definitions.len()];
            let choice = Choice { knobs, directives: Vec::new() };
            let seen = HashSet::from([choice.text()]);
            Some(Subject {
                tunable: tunable.clone(),
                parents: vec![Parent { choice, kernel: kernel.clone(), time }],
                seen,
                share: predicted.get(&tunable.kernel).copied().unwrap_or(0.0),
                idle: 0,
            })
        })
        .collect();
    while !(bench.stop)() {
        let worth = |s: &Subject| s.share / (1.0 + s.idle as f64);
        let turn = subjects.iter_mut().max_by(|a, b| worth(a).total_cmp(&worth(b)));
        let Some(subject) = turn.filter(|s| s.idle < 64) else { break };
        let candidates = candidates(&mut rng, subject, (&mut out, &best), bench);
        subject.idle += 1;
        for (choice, module) in candidates {
            let Some(kernel) = module.kernels.get(&subject.tunable.kernel).cloned() else {
                continue;
            };
            if (bench.stop)() {
                break;
            }
            out.measured += 1;
            let measured = match (bench.measure)(&module) {
                Ok(measured) => measured,
                Err(reason) => {
                    *out.refused.entry(reason).or_insert(0) += 1;
                    continue;
                }
            };
            // In both orders, for the second of two programs may find a warmer machine.
            if measured < time * GAIN
                && let Ok((old, new)) = (bench.compare)(&best, &module)
                && new < old * GAIN
                && let Ok((again, before)) = (bench.compare)(&module, &best)
                && again < before * GAIN
            {
                out.tuning = choice.within(&out.tuning, subject);
                (bench.gained)(&subject.tunable.kernel, &out.tuning, (old, new));
                (best, time) = (module, new);
                subject.idle = 0;
            }
            subject.parents.push(Parent { choice, kernel, time: measured });
            subject.parents.sort_by(|a, b| a.time.total_cmp(&b.time));
            subject.parents.truncate(PARENTS);
        }
    }
    Ok(out)
}

/// Legal candidates for a kernel: those with the best predictions, and one by chance.
fn candidates(
    rng: &mut Rng,
    subject: &mut Subject,
    (out, best): (&mut Outcome, &Module),
    bench: &mut Bench<'_>,
) -> Vec<(Choice, Module)> {
    let mut all: Vec<(f64, Choice, Module)> = Vec::new();
    for _ in 0..MADE {
        if (bench.stop)() {
            break;
        }
        let Some(choice) = child(rng, subject, out.made) else { continue };
        if !subject.seen.insert(choice.text()) {
            continue;
        }
        out.made += 1;
        let tuning = choice.within(&out.tuning, subject);
        match (bench.lower)(&tuning) {
            Ok(module) if module.kernels == best.kernels => {}
            Ok(module) => {
                out.legal += 1;
                let time = (bench.predict)(&module).values().sum();
                all.push((time, choice, module));
            }
            Err(reason) => *out.refused.entry(reason).or_insert(0) += 1,
        }
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    if all.len() > MEASURED {
        let lucky = rng.usize(MEASURED - 1..all.len());
        all.swap(MEASURED - 1, lucky);
        all.truncate(MEASURED);
    }
    all.into_iter().map(|(_, choice, module)| (choice, module)).collect()
}

/// A choice made from one or two good ones.
fn child(rng: &mut Rng, subject: &Subject, number: usize) -> Option<Choice> {
    let parent = rng.choice(&subject.parents)?;
    let mut choice = parent.choice.clone();
    match rng.u8(0..10) {
        0..=4 if !choice.knobs.is_empty() => {
            // Other loops have other names.
            choice.directives.clear();
            let at = rng.usize(..choice.knobs.len());
            let knobs = choice.knobs.get_mut(at)?;
            *knobs = other_knobs(rng, *knobs);
        }
        5 if !choice.knobs.is_empty() => {
            choice.directives.clear();
            let other = rng.choice(&subject.parents)?;
            for (own, from) in choice.knobs.iter_mut().zip(&other.choice.knobs) {
                *own = mixed_knobs(rng, *own, *from);
            }
        }
        6 if !choice.directives.is_empty() => {
            choice.directives.remove(rng.usize(..choice.directives.len()));
        }
        _ => choice.directives.push(directive(rng, &parent.kernel, number)?),
    }
    Some(choice)
}
