//! The indices of one statement and their domains (R6).

use super::Reported;
use crate::VarId;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::graph::{Function, FunctionNames};
use crate::int::{Facts, IntExpr, bounds, display};
use crate::span::Span;
use cranelift_entity::PrimaryMap;
use indexmap::IndexMap;

/// The indices of a statement, in order of first appearance (those of the target first).
#[derive(Default)]
pub(super) struct Indices {
    pub(super) by_name: IndexMap<String, VarId>,
    pub(super) table: PrimaryMap<VarId, IndexUse>,
    accesses: Vec<AccessUse>,
}

/// What a statement says about one index.
pub(super) struct IndexUse {
    pub(super) name: String,
    pub(super) span: Span,
    /// How often it occurs in the statement.
    pub(super) occurrences: usize,
    /// `i in n`
    fixed: Option<(IntExpr, Span)>,
    /// The domain, once found: `lo <= index < lo + extent`.
    pub(super) lo: IntExpr,
    pub(super) extent: Option<IntExpr>,
}

/// One affine subscript.
pub(super) struct AccessUse {
    pub(super) subscript: IntExpr,
    pub(super) extent: IntExpr,
    /// A default or guard covers it.
    pub(super) protected: bool,
    /// It has a default.
    pub(super) defaulted: bool,
    /// Its axis is written with a literal slot or a shift by some equation.
    pub(super) history: bool,
    pub(super) span: Span,
    /// For example "axis 1 of `X`".
    pub(super) place: String,
}

impl Indices {
    /// The index of this name, made if it is new.
    pub(super) fn get_or_add(&mut self, name: &str, span: Span) -> VarId {
        if let Some(v) = self.by_name.get(name) {
            let v = *v;
            if let Some(u) = self.table.get_mut(v) {
                u.occurrences += 1;
            }
            return v;
        }
        let v = self.table.push(IndexUse {
            name: name.to_owned(),
            span,
            occurrences: 1,
            fixed: None,
            lo: IntExpr::constant(0),
            extent: None,
        });
        self.by_name.insert(name.to_owned(), v);
        v
    }

    pub(super) fn record(&mut self, access: AccessUse) {
        self.accesses.push(access);
    }

    /// `i in n`
    pub(super) fn fix(
        &mut self,
        var: VarId,
        extent: IntExpr,
        span: Span,
        cx: &mut DomainCx<'_>,
    ) -> Result<(), Reported> {
        let Some(index) = self.table.get_mut(var) else { return Err(Reported) };
        if let Some((first, first_span)) = &index.fixed
            && !cx.facts.equal(first, &extent)
        {
            let message = format!(
                "index `{}` has two domains: {} and {}",
                index.name,
                cx.show(first),
                cx.show(&extent)
            );
            cx.diagnostics.push(
                Diagnostic::new(Code::Size, span, message)
                    .label(*first_span, "first fixed here")
                    .help("fix the domain once, where the index first stands"),
            );
            return Err(Reported);
        }
        index.fixed.get_or_insert((extent, span));
        Ok(())
    }

    /// Finds the domain of every index.
    pub(super) fn solve(&mut self, cx: &mut DomainCx<'_>) -> Result<(), Reported> {
        let vars: Vec<VarId> = self.table.keys().collect();
        let mut failed = false;
        let mut open = Vec::new();
        for var in vars {
            match self.plain_domain(var, cx) {
                Ok(Some(extent)) => self.set(var, IntExpr::constant(0), extent),
                Ok(None) => open.push(var),
                Err(Reported) => failed = true,
            }
        }
        // Indices on history axes only: each needs the domains of its neighbours.
        while !open.is_empty() && !failed {
            let before = open.len();
            open.retain(|var| match self.history_domain(*var, cx) {
                Some((lo, extent)) => {
                    self.set(*var, lo, extent);
                    false
                }
                None => true,
            });
            if open.len() == before {
                break;
            }
        }
        for var in open {
            self.report_unknown(var, cx);
            failed = true;
        }
        if failed { Err(Reported) } else { Ok(()) }
    }

    fn set(&mut self, var: VarId, lo: IntExpr, extent: IntExpr) {
        if let Some(index) = self.table.get_mut(var) {
            index.lo = lo;
            index.extent = Some(extent);
        }
    }

    /// The domain from `in` or from bare uses on plain axes.
    fn plain_domain(&self, var: VarId, cx: &mut DomainCx<'_>) -> Result<Option<IntExpr>, Reported> {
        let Some(index) = self.table.get(var) else { return Err(Reported) };
        if let Some((extent, _)) = &index.fixed {
            return Ok(Some(extent.clone()));
        }
        let bare = |a: &&AccessUse| a.subscript.as_var() == Some(var) && !a.history;
        let mut uses = self.accesses.iter().filter(bare).filter(|a| !a.defaulted);
        let Some(first) = uses.next() else {
            // A bare read with a default shows the extent if nothing else does.
            return Ok(self
                .accesses
                .iter()
                .filter(bare)
                .map(|a| a.extent.clone())
                .next()
                .filter(|_| !self.has_history_use(var)));
        };
        for other in uses {
            if !cx.facts.equal(&first.extent, &other.extent) {
                let (ta, tb) = (cx.show(&first.extent), cx.show(&other.extent));
                let message = format!(
                    "index `{}` has extent {ta} in one place and {tb} in another",
                    index.name
                );
                let labelled = Diagnostic::new(Code::Size, other.span, message)
                    .label(other.span, format!("{} has extent {tb}", other.place))
                    .label(first.span, format!("{} has extent {ta}", first.place));
                let numbers =
                    first.extent.as_constant().is_some() && other.extent.as_constant().is_some();
                cx.diagnostics.push(if numbers {
                    labelled.help("use another index, or fix the domain with `in`")
                } else {
                    labelled.help(format!(
                        "use another index, or state `where {ta} == {tb}` after the signature"
                    ))
                });
                return Err(Reported);
            }
        }
        Ok(Some(first.extent.clone()))
    }

    fn has_history_use(&self, var: VarId) -> bool {
        self.accesses.iter().any(|a| a.history && a.subscript.as_var() == Some(var))
    }

    /// The largest domain on which the unprotected accesses are in bounds, for an index whose bare
    /// uses are all on history axes.
    fn history_domain(&self, var: VarId, cx: &DomainCx<'_>) -> Option<(IntExpr, IntExpr)> {
        if !self.has_history_use(var) {
            return None;
        }
        let mut lo = IntExpr::constant(0);
        let mut hi: Option<IntExpr> = None;
        for a in self.accesses.iter().filter(|a| !a.protected && a.subscript.mentions(var)) {
            let (low, high) = self.solve_access(a, var, cx)?;
            if let Some(low) = low {
                lo = if cx.facts.at_most(&low, &lo) {
                    lo
                } else if cx.facts.at_most(&lo, &low) {
                    low
                } else {
                    lo.maximum(&low)
                };
            }
            if let Some(high) = high {
                hi = Some(match hi {
                    None => high,
                    Some(h) if cx.facts.at_most(&h, &high) => h,
                    Some(h) if cx.facts.at_most(&high, &h) => high,
                    Some(h) => h.minimum(&high),
                });
            }
        }
        let extent = hi? + IntExpr::constant(1) - lo.clone();
        Some((lo, extent))
    }

    /// First and last value of `var` for which one access is in bounds.
    fn solve_access(
        &self,
        access: &AccessUse,
        var: VarId,
        cx: &DomainCx<'_>,
    ) -> Option<(Option<IntExpr>, Option<IntExpr>)> {
        let Some((coefficient, rest)) = access.subscript.linear_in(var) else {
            return Some((None, None));
        };
        let c = coefficient.as_constant().filter(|c| *c != 0)?;
        let ranges = |v: VarId| self.range(v);
        let lowest = bounds::lower(&rest, &ranges, cx.facts)?;
        let highest = bounds::upper(&rest, &ranges, cx.facts)?;
        let last = &access.extent - &IntExpr::constant(1);
        // 0 <= c*v + rest <= last for every value of the rest.
        let divide = |e: IntExpr, by: i64| e.div(&IntExpr::constant(by));
        Some(if c > 0 {
            (Some(-divide(lowest, c)), Some(divide(last - highest, c)))
        } else {
            (Some(-divide(last - highest, -c)), Some(divide(lowest, -c)))
        })
    }

    /// First and last value of an index whose domain is known.
    pub(super) fn range(&self, var: VarId) -> Option<(IntExpr, IntExpr)> {
        let index = self.table.get(var)?;
        let extent = index.extent.as_ref()?;
        Some((index.lo.clone(), &index.lo + extent - IntExpr::constant(1)))
    }

    fn report_unknown(&self, var: VarId, cx: &mut DomainCx<'_>) {
        let Some(index) = self.table.get(var) else { return };
        let message = format!("no use of index `{}` shows its extent", index.name);
        cx.diagnostics.push(
            Diagnostic::new(Code::Size, index.span, message)
                .note("an index takes its domain from a subscript that is just the index")
                .help(format!("write `{} in <size>` where it first stands", index.name)),
        );
    }
}

impl DomainCx<'_> {
    fn show(&self, e: &IntExpr) -> String {
        display(e, &FunctionNames(self.function)).to_string()
    }
}

/// What finding domains needs of the function.
pub(super) struct DomainCx<'a> {
    pub(super) facts: &'a Facts,
    pub(super) function: &'a Function,
    pub(super) diagnostics: &'a mut Diagnostics,
}
