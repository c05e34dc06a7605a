//! A program under construction.

use super::{Case, Decl, Dim, Group, Kind, Param, Sizes};
use fastrand::Rng;
use tcc_abi::DType;
use tcc_ir::library::scalar_text;
use tcc_ir::scalar::Func;

/// What programs may use.
#[derive(Clone, Debug)]
pub struct Options {
    /// Scalar functions.
    pub funcs: Vec<Func>,
}

impl Options {
    /// Everything that compiles: scalar functions without an expansion are left out.
    pub fn all() -> Options {
        let known = |f: &Func| {
            let has = |t: DType| scalar_text(&format!("{f}_{t}")).is_some();
            !f.is_expanded() || (has(DType::F32) && has(DType::F64))
        };
        Options { funcs: Func::all().filter(known).collect() }
    }

    /// True if log-sum-exp compiles.
    pub fn has_lse(&self) -> bool {
        self.funcs.contains(&Func::Exp) && self.funcs.contains(&Func::Log)
    }
}

/// The run-time error that a program may meet; never two kinds, since their order is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Risk {
    None,
    Index,
    Division,
    Diverge,
}

/// An index of an equation with its extent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Var {
    pub(super) name: &'static str,
    pub(super) dim: Dim,
}

/// A scalar function of the text: name, type of arguments and result, number of arguments.
pub(super) type ScalarHelper = (String, DType, usize);

/// At most this many points in a domain or tensor.
const POINTS: i64 = 360;

pub(super) const DTYPES: [DType; 15] = [
    DType::F32,
    DType::F64,
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::Bool,
    DType::C64,
    DType::C128,
    DType::F16,
    DType::BF16,
];

/// A program under construction.
pub(super) struct Builder<'o> {
    pub(super) rng: Rng,
    pub(super) options: &'o Options,
    pub(super) case: Case,
    pub(super) names: Vec<&'static str>,
    pub(super) favored: Vec<DType>,
    pub(super) risk: Risk,
    pub(super) scalar_helpers: Vec<ScalarHelper>,
    counter: usize,
}

/// The program of a seed. It may be invalid: the checker decides.
pub fn case(seed: u64, options: &Options) -> Case {
    let mut b = Builder::new(Rng::with_seed(seed), options);
    b.scalar_functions();
    let count = 2 + b.rng.usize(..5);
    for _ in 0..count {
        b.group();
    }
    b.finish()
}

impl<'o> Builder<'o> {
    pub(super) fn new(mut rng: Rng, options: &'o Options) -> Builder<'o> {
        let mut names = vec!["N", "M", "K", "L"];
        names.truncate(rng.usize(2..5));
        let sets = (0..2).map(|_| {
            let size = |rng: &mut Rng| match rng.u8(0..40) {
                0 => 0,
                1..5 => 1,
                5..9 => rng.i64(7..10),
                9..12 => rng.i64(15..19),
                _ => rng.i64(2..7),
            };
            names.iter().map(|n| ((*n).to_owned(), size(&mut rng))).collect()
        });
        let sizes: Vec<Sizes> = sets.collect();
        let usual = [DType::F32, DType::F64, DType::I32, DType::I64, DType::Bool];
        let favored = (0..2)
            .map(|_| {
                let all = rng.u8(0..3) > 0;
                if all {
                    DTYPES[rng.usize(..DTYPES.len())]
                } else {
                    usual[rng.usize(..usual.len())]
                }
            })
            .collect();
        let risk = match rng.u8(0..30) {
            0..4 => Risk::Index,
            4 => Risk::Division,
            5 => Risk::Diverge,
            _ => Risk::None,
        };
        let case = Case { sizes, ..Case::default() };
        let scalar_helpers = Vec::new();
        Builder { rng, options, case, names, favored, risk, scalar_helpers, counter: 0 }
    }

    /// True once in `n` times.
    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.rng.u32(0..n) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.rng.usize(..from.len())].clone()
    }

    pub(super) fn fresh(&mut self, stem: &str) -> String {
        self.counter += 1;
        format!("{stem}{}", self.counter)
    }

    pub(super) fn dtype(&mut self) -> DType {
        let favored = self.favored.clone();
        if self.one_in(6) { self.pick(&DTYPES) } else { self.pick(&favored) }
    }

    /// A type among those that `fits` admits.
    pub(super) fn dtype_where(&mut self, fits: impl Fn(DType) -> bool) -> DType {
        let favored: Vec<DType> = self.favored.iter().copied().filter(|d| fits(*d)).collect();
        if !favored.is_empty() && !self.one_in(6) {
            return self.pick(&favored);
        }
        let all: Vec<DType> = DTYPES.into_iter().filter(|d| fits(*d)).collect();
        self.pick(&all)
    }

    pub(super) fn size_dim(&mut self) -> Dim {
        let names = self.names.clone();
        Dim::size(self.pick(&names))
    }

    pub(super) fn dim(&mut self) -> Dim {
        let d = self.size_dim();
        match self.rng.u8(0..24) {
            0 => d.affine(1, 1),
            1 => d.affine(2, 1),
            2 => d.affine(2, 0),
            3 => d.name().map(Dim::half).unwrap_or_default(),
            4 => d.plus(&self.size_dim()),
            5 => Dim::literal(self.rng.i64(1..5)),
            _ => d,
        }
    }

    /// True if tensors and domains of these extents are small.
    pub(super) fn fits(&self, dims: &[Dim]) -> bool {
        self.case.sizes.iter().all(|s| {
            let product = dims.iter().map(|d| d.value(s).max(1)).fold(1i64, i64::saturating_mul);
            product <= POINTS
        })
    }

    /// Up to `most` new indices, those of `outer` being taken.
    pub(super) fn vars(&mut self, most: usize, outer: &[Var]) -> Vec<Var> {
        const NAMES: [&str; 9] = ["i", "j", "k", "l", "p", "q", "r", "s", "t"];
        let mut all = outer.to_vec();
        for name in NAMES.iter().filter(|n| outer.iter().all(|v| v.name != **n)).take(most) {
            let dim = self.dim();
            let dims: Vec<Dim> = all.iter().map(|v| v.dim.clone()).chain([dim.clone()]).collect();
            if self.fits(&dims) {
                all.push(Var { name, dim });
            }
        }
        all.split_off(outer.len())
    }

    /// Indices of a target.
    pub(super) fn target_vars(&mut self) -> Vec<Var> {
        let most = self.pick(&[0, 1, 1, 2, 2, 2, 3, 3, 4, 5]);
        self.vars(most, &[])
    }

    /// Tensors that can be read: parameters, then those defined so far.
    pub(super) fn visible(&self, dtype: DType) -> Vec<Decl> {
        let params = self.case.params.iter().map(|p| &p.decl);
        let defined = self.case.groups.iter().flat_map(|g| &g.defines);
        params.chain(defined).filter(|d| d.dtype == dtype).cloned().collect()
    }

    /// Tensors whose values carry no rounding error.
    pub(super) fn inputs_of(&self, dtype: DType) -> Vec<Decl> {
        let params = self.case.params.iter().map(|p| &p.decl);
        params.filter(|d| d.dtype == dtype).cloned().collect()
    }

    pub(super) fn input(&mut self, dtype: DType, shape: Vec<Dim>, kind: Kind) -> Decl {
        let decl = Decl { name: self.fresh("A"), dtype, shape };
        let modifier = if self.one_in(6) { "param" } else { "" };
        self.case.params.push(Param { modifier, decl: decl.clone(), kind });
        decl
    }

    pub(super) fn decl(&mut self, dtype: DType, vars: &[Var]) -> Decl {
        let shape = vars.iter().map(|v| v.dim.clone()).collect();
        Decl { name: self.fresh("T"), dtype, shape }
    }

    /// Adds equations of declared tensors.
    pub(super) fn push(&mut self, lines: Vec<String>, defines: Vec<Decl>) {
        self.case.groups.push(Group { lines, defines, updates: None, declared: true });
    }

    fn group(&mut self) {
        match self.rng.u8(0..100) {
            0..18 => self.map(),
            18..32 => self.contraction(),
            32..42 => self.reduction(),
            42..50 => self.gather(),
            50..60 => self.scatter(),
            60..66 => self.guarded(),
            66..72 => self.kept_axis(),
            72..80 => self.piecewise(),
            80..88 => self.scan(),
            88..94 => self.fixpoint(),
            94..97 => self.inout(),
            _ => self.call(),
        }
    }

    /// States a fact about a size that a parameter shows; rarely one that does not hold.
    fn fact(&mut self) {
        let names = self.names.clone();
        let name = self.pick(&names);
        let shown = self.case.params.iter().any(|p| p.decl.shape.contains(&Dim::size(name)));
        if !shown || !self.one_in(8) {
            return;
        }
        let values = self.case.sizes.iter().filter_map(|s| s.get(name)).copied();
        let (least, most) = values.fold((i64::MAX, 0), |(a, b), v| (a.min(v), b.max(v)));
        let wrong = i64::from(self.one_in(12));
        self.case.facts.push(match self.rng.bool() {
            true => format!("{name} <= {}", most - wrong),
            false => format!("{name} >= {}", least + wrong),
        });
    }

    /// Chooses results and declarations.
    pub(super) fn finish(mut self) -> Case {
        let defined: Vec<Decl> = self.case.groups.iter().flat_map(|g| g.defines.clone()).collect();
        for d in &defined {
            let own = |g: &&Group| !g.defines.contains(d);
            let lines = self.case.groups.iter().filter(own).flat_map(|g| &g.lines);
            let read = lines.into_iter().any(|l| Case::mentions(l, &d.name));
            if !read || self.one_in(4) {
                self.case.results.push(d.name.clone());
            }
        }
        self.case.drop_unused_params();
        self.fact();
        self.case
    }
}

/// `i,j,k`
pub(super) fn names(vars: &[Var]) -> String {
    vars.iter().map(|v| v.name).collect::<Vec<_>>().join(",")
}

/// `T[i,j]`, or `T` for rank 0.
pub(super) fn element(name: &str, subscripts: &[String]) -> String {
    if subscripts.is_empty() {
        name.to_owned()
    } else {
        format!("{name}[{}]", subscripts.join(","))
    }
}

/// The element that the bare indices name.
pub(super) fn bare(name: &str, vars: &[Var]) -> String {
    element(name, &vars.iter().map(|v| v.name.to_owned()).collect::<Vec<_>>())
}
