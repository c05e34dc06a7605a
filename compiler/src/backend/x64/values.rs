//! Expressions, reads and stores on vectors of lanes.

use super::build::{Builder, Built};
use super::code::{Class, Inst, Int, Kind, Lane, Node, Place, Reg, Source, width};
use super::opcodes::Op;
use smallvec::{SmallVec, smallvec};
use tcc_abi::DType;
use tcc_ir::TensorId;
use tcc_ir::int::IntExpr;
use tcc_ir::kernel::{Scope, Update};
use tcc_ir::scalar::{Comparison, Expr, Func, Read, Reducer, Subscript};

/// A value while code is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Val {
    Vector(Reg),
    /// The same bits in each lane.
    Literal(u64),
    Mask(Reg),
    Bool(bool),
}

/// What identifies an instruction whose result may be used again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    kind: Kind,
    lane: Lane,
    lanes: u32,
    sources: SmallVec<[Source; 3]>,
    mask: Option<Reg>,
    place: Option<Place>,
    int: Option<Int>,
    imm: u8,
    /// The buffer, for loads.
    from: Option<TensorId>,
}

impl Builder<'_> {
    /// Lanes of the values that are being computed; 1 outside of vector loops.
    pub(super) fn lanes(&self) -> u32 {
        self.lane.map_or(1, |l| l.lanes)
    }

    pub(super) fn blank(&self, kind: Kind, lane: Lane) -> Inst {
        Inst {
            kind,
            lane,
            lanes: self.lanes(),
            dst: None,
            sources: SmallVec::new(),
            mask: None,
            zero: false,
            place: None,
            int: None,
            imm: 0,
        }
    }

    /// An instruction whose result depends on its operands only.
    pub(super) fn pure(&mut self, class: Class, inst: Inst, from: Option<TensorId>) -> Built<Reg> {
        let key = Key {
            kind: inst.kind,
            lane: inst.lane,
            lanes: inst.lanes,
            sources: inst.sources.clone(),
            mask: inst.mask,
            place: inst.place,
            int: inst.int,
            imm: inst.imm,
            from,
        };
        if let Some(known) = self.known.get(&key) {
            return Ok(*known);
        }
        let mutable = inst.reads().any(|r| self.is_cell(r));
        let dst = self.register(class);
        self.push(Node::Inst(Inst { dst: Some(dst), ..inst }))?;
        if !mutable {
            self.known.insert(key, dst);
        }
        Ok(dst)
    }

    fn is_cell(&self, r: Reg) -> bool {
        self.cell_registers.contains(&r)
    }

    pub(super) fn op(&mut self, op: Op, lane: Lane, sources: &[Val], imm: u8) -> Built<Reg> {
        let mut inst = self.blank(Kind::Op(op), lane);
        inst.imm = imm;
        for v in sources {
            inst.sources.push(self.source(*v)?);
        }
        // The first operand of an instruction is a register.
        if !matches!(inst.sources.first(), Some(Source::Reg(_))) {
            let commutes = matches!(op, Op::Add | Op::Mul | Op::And | Op::Or | Op::Xor);
            let single = inst.sources.len() == 1;
            if commutes && matches!(inst.sources.get(1), Some(Source::Reg(_))) {
                inst.sources.swap(0, 1);
            } else if !single && let Some(first) = sources.first() {
                let r = self.in_register(lane, *first)?;
                if let Some(slot) = inst.sources.first_mut() {
                    *slot = Source::Reg(r);
                }
            }
        }
        let class = if matches!(op, Op::Cmp | Op::Class) { Class::Mask } else { Class::Vector };
        self.pure(class, inst, None)
    }

    pub(super) fn source(&mut self, v: Val) -> Built<Source> {
        match v {
            Val::Vector(r) => Ok(Source::Reg(r)),
            Val::Literal(bits) => Ok(Source::Literal(bits)),
            Val::Mask(_) | Val::Bool(_) => Err("a bool is used as a number".to_owned()),
        }
    }

    /// The value in a register.
    pub(super) fn in_register(&mut self, lane: Lane, v: Val) -> Built<Reg> {
        match v {
            Val::Vector(r) => Ok(r),
            Val::Literal(bits) => {
                let mut inst = self.blank(Kind::Copy, lane);
                inst.sources.push(Source::Literal(bits));
                self.pure(Class::Vector, inst, None)
            }
            Val::Mask(_) | Val::Bool(_) => Err("a bool is used as a number".to_owned()),
        }
    }

    pub(super) fn mask_of(&mut self, v: Val) -> Built<Reg> {
        match v {
            Val::Mask(m) => Ok(m),
            Val::Bool(b) => {
                let mut inst = self.blank(Kind::When(Comparison::Eq), Lane::I32);
                inst.int = Some(Int::Const(i64::from(!b)));
                self.pure(Class::Mask, inst, None)
            }
            Val::Vector(_) | Val::Literal(_) => Err("a number is used as a bool".to_owned()),
        }
    }

    /// The mask of the first `n` lanes.
    pub(super) fn first_lanes(&mut self, n: i64) -> Built<Reg> {
        let mut inst = self.blank(Kind::Edge, Lane::I32);
        inst.lanes = 64;
        inst.int = Some(Int::Const(n));
        self.pure(Class::Mask, inst, None)
    }

    pub(super) fn both(&mut self, a: Option<Reg>, b: Option<Reg>) -> Built<Option<Reg>> {
        match (a, b) {
            (Some(a), Some(b)) => Ok(Some(self.mask_op(Kind::MaskAnd, &[a, b])?)),
            (a, b) => Ok(a.or(b)),
        }
    }

    pub(super) fn mask_op(&mut self, kind: Kind, masks: &[Reg]) -> Built<Reg> {
        let mut inst = self.blank(kind, Lane::I32);
        inst.sources.extend(masks.iter().map(|m| Source::Reg(*m)));
        self.pure(Class::Mask, inst, None)
    }

    /// The value of an expression; lanes that `mask` leaves out may be anything, and memory is not
    /// touched for them.
    pub(super) fn value(&mut self, e: &Expr, mask: Option<Reg>) -> Built<Val> {
        match e {
            Expr::Literal(s) => literal(*s),
            Expr::Index { num, den, dtype } => self.index(num, den, *dtype),
            Expr::Compare(op, a, b) => {
                let difference = self.resolve(a) - self.resolve(b);
                self.compare(*op, &difference)
            }
            Expr::Read(r) => self.read(r, mask),
            Expr::Apply(func, args) => {
                let mut values: SmallVec<[Val; 3]> = SmallVec::new();
                for a in args {
                    values.push(self.value(a, mask)?);
                }
                let dtype = args.last().map_or(DType::Bool, Expr::dtype);
                self.apply(*func, dtype, &values)
            }
            Expr::Cast(to, x) => {
                let v = self.value(x, mask)?;
                self.cast(x.dtype(), *to, v)
            }
            Expr::Bitcast(_, x) => self.value(x, mask),
            Expr::Contiguous(_) => Err("`contiguous` stands inside a value".to_owned()),
        }
    }

    fn index(&mut self, num: &IntExpr, den: &IntExpr, dtype: DType) -> Built<Val> {
        let (num, den) = (self.resolve(num), self.resolve(den));
        if let (Some(n), Some(d)) = (num.as_constant(), den.as_constant()) {
            return literal(tcc_ir::eval::constant(dtype, n, d));
        }
        let lane = Lane::of(dtype).ok_or("an index becomes a value of a type without lanes")?;
        if den.as_constant() != Some(1) || self.lane.is_some_and(|l| num.mentions(l.var)) {
            return Err("an index becomes a value in lanes".to_owned());
        }
        let mut inst = self.blank(Kind::FromInt, lane);
        inst.int = Some(self.int(&num));
        Ok(Val::Vector(self.pure(Class::Vector, inst, None)?))
    }

    /// `difference op 0` as a mask.
    fn compare(&mut self, op: Comparison, difference: &IntExpr) -> Built<Val> {
        if let Some(d) = difference.as_constant() {
            return Ok(Val::Bool(op.holds(d.cmp(&0))));
        }
        let zero = IntExpr::default();
        let (factor, rest) = match self.lane.filter(|l| difference.mentions(l.var)) {
            None => (0, difference.clone()),
            Some(l) => {
                let (c, rest) =
                    difference.linear_in(l.var).ok_or("a comparison is not linear in the lane")?;
                (c.as_constant().ok_or("a comparison moves by a size from lane to lane")?, rest)
            }
        };
        if factor == 0 {
            let mut inst = self.blank(Kind::When(op), Lane::I32);
            inst.int = Some(self.int(&rest));
            return Ok(Val::Mask(self.pure(Class::Mask, inst, None)?));
        }
        // factor * lane + rest < 0 holds for the first lanes or for the last ones.
        let one = IntExpr::constant(1);
        let below = |b: &mut Self, shift: i64| -> Built<Reg> {
            // Lanes where factor * lane + rest + shift < 0.
            let rest = &rest + &IntExpr::constant(shift);
            let size = IntExpr::constant(factor.abs());
            if factor > 0 {
                let n = (&zero - &rest - one.clone()).div(&size) + one.clone();
                b.edge(&n, 0)
            } else {
                let n = rest.div(&size) + one.clone();
                b.edge(&n, 1)
            }
        };
        let mask = match op {
            Comparison::Lt => below(self, 0)?,
            Comparison::Le => below(self, -1)?,
            Comparison::Ge => {
                let m = below(self, 0)?;
                self.mask_op(Kind::MaskNot, &[m])?
            }
            Comparison::Gt => {
                let m = below(self, -1)?;
                self.mask_op(Kind::MaskNot, &[m])?
            }
            Comparison::Eq | Comparison::Ne => {
                let (lt, le) = (below(self, 0)?, below(self, -1)?);
                let equal = self.mask_op(Kind::MaskXor, &[lt, le])?;
                if op == Comparison::Ne { self.mask_op(Kind::MaskNot, &[equal])? } else { equal }
            }
        };
        Ok(Val::Mask(mask))
    }

    /// Lanes below (0) or from (1) a number.
    fn edge(&mut self, n: &IntExpr, imm: u8) -> Built<Reg> {
        let mut inst = self.blank(Kind::Edge, Lane::I32);
        inst.int = Some(self.int(n));
        inst.imm = imm;
        self.pure(Class::Mask, inst, None)
    }

    fn read(&mut self, r: &Read, mask: Option<Reg>) -> Built<Val> {
        let scope = self.kernel.buffers.get(r.tensor).map(|b| b.scope);
        if scope == Some(Scope::Let) {
            return self
                .lets
                .get(&r.tensor)
                .copied()
                .ok_or("a let is read before it is set".into());
        }
        let mut at = Vec::with_capacity(r.subscripts.len());
        for s in &r.subscripts {
            match s {
                Subscript::Affine(i) => at.push(self.resolve(i)),
                Subscript::Data(_) => return Err("it reads where its data say".to_owned()),
            }
        }
        if scope == Some(Scope::Register) {
            return self.read_cell(r.tensor, r.dtype, &at);
        }
        let Some(default) = &r.default else { return self.load(r.tensor, r.dtype, &at, mask) };
        let inside = self.in_bounds(r.tensor, &at)?;
        match inside {
            Val::Bool(true) => self.load(r.tensor, r.dtype, &at, mask),
            Val::Bool(false) => self.value(default, mask),
            inside => {
                let inside = self.mask_of(inside)?;
                let loaded = self.both(Some(inside), mask)?;
                let v = self.load(r.tensor, r.dtype, &at, loaded)?;
                let other = self.value(default, mask)?;
                // Masked loads give zero where they do not look.
                if other == Val::Literal(0) && mask.is_none() {
                    return Ok(v);
                }
                self.select(r.dtype, Val::Mask(inside), v, other)
            }
        }
    }

    /// True where every subscript is in its axis.
    fn in_bounds(&mut self, t: TensorId, at: &[IntExpr]) -> Built<Val> {
        let shape = self.kernel.buffers.get(t).map_or(Vec::new(), |b| b.shape.clone());
        let mut all = Val::Bool(true);
        for (i, extent) in at.iter().zip(&shape) {
            let low = self.compare(Comparison::Ge, i)?;
            let high = self.compare(Comparison::Lt, &(i - extent))?;
            for side in [low, high] {
                all = self.logic(Func::And, all, side)?;
            }
        }
        Ok(all)
    }

    /// The address of an element in bytes, as a polynomial that may mention the lane.
    pub(super) fn address(&self, t: TensorId, at: &[IntExpr]) -> Built<(IntExpr, u32)> {
        let buffer = self.kernel.buffers.get(t).ok_or("a buffer is missing")?;
        let base = self.address.get(&t).ok_or("a buffer has no address")?;
        let strides = self.strides.get(&t).filter(|_| !self.known_dense.contains(&t));
        let mut flat = IntExpr::default();
        match strides {
            Some(strides) => {
                for (i, s) in at.iter().zip(strides) {
                    flat = flat + i.clone() * s.clone();
                }
            }
            None => {
                for (i, extent) in at.iter().zip(&buffer.shape) {
                    flat = flat * extent.clone() + i.clone();
                }
            }
        }
        let bytes = buffer.dtype.size() as i64;
        let address = base.clone() + flat * IntExpr::constant(bytes);
        if address.is_poisoned() {
            return Err("an address overflows".to_owned());
        }
        Ok((address, bytes as u32))
    }

    /// The place, and by how many bytes it moves from lane to lane.
    fn place(&mut self, t: TensorId, at: &[IntExpr]) -> Built<(Place, Option<i64>)> {
        let (address, _) = self.address(t, at)?;
        let (step, rest) = match self.lane.filter(|l| address.mentions(l.var)) {
            None => (Some(0), address),
            Some(l) => {
                let (c, rest) =
                    address.linear_in(l.var).ok_or("an address is not linear in the lane")?;
                (c.as_constant(), rest)
            }
        };
        Ok((self.place_at(rest), step))
    }

    /// The place of an address that no lane moves.
    pub(super) fn place_at(&mut self, address: IntExpr) -> Place {
        let constant = address.constant_term();
        match i32::try_from(constant) {
            Ok(offset) => {
                let rest = address - IntExpr::constant(constant);
                Place { address: self.int(&rest), offset }
            }
            Err(_) => Place { address: self.int(&address), offset: 0 },
        }
    }

    fn load(&mut self, t: TensorId, dtype: DType, at: &[IntExpr], mask: Option<Reg>) -> Built<Val> {
        if dtype == DType::Bool {
            return self.load_bools(t, at, mask);
        }
        let lane = Lane::of(dtype).ok_or_else(|| format!("{dtype} is not read into vectors"))?;
        let (place, step) = self.place(t, at)?;
        let lanes = self.lanes();
        let size = i64::from(lane.bytes());
        let kind = match step {
            Some(0) if lanes > 1 => Kind::Broadcast,
            Some(s) if lanes == 1 || s == size => Kind::Load,
            Some(s) if s % size == 0 && (2..=4).contains(&(s / size)) => {
                return self.load_gaps((t, lane), place, (s / size) as u32, mask);
            }
            _ => return Err("lanes are read from far apart".to_owned()),
        };
        let mut inst = self.blank(kind, lane);
        inst.place = Some(place);
        inst.mask = if kind == Kind::Load {
            let partial = self.lane.and_then(|l| l.partial);
            self.both(partial, mask)?
        } else {
            mask
        };
        inst.zero = inst.mask.is_some();
        Ok(Val::Vector(self.pure(Class::Vector, inst, Some(t))?))
    }

    fn load_bools(&mut self, t: TensorId, at: &[IntExpr], mask: Option<Reg>) -> Built<Val> {
        let (place, step) = self.place(t, at)?;
        if step != Some(1) && self.lanes() > 1 {
            return Err("bools are read with gaps".to_owned());
        }
        let mut inst = self.blank(Kind::LoadBool, Lane::I32);
        inst.place = Some(place);
        let partial = self.lane.and_then(|l| l.partial);
        inst.mask = self.both(partial, mask)?;
        inst.zero = inst.mask.is_some();
        Ok(Val::Mask(self.pure(Class::Mask, inst, Some(t))?))
    }

    /// Where an element of a register buffer is: its cell, and its lane in it.
    fn find_cell(&mut self, t: TensorId, at: &[IntExpr]) -> Built<(Reg, u32, u32)> {
        let chunk = self.vector_buffers.get(&t).copied().unwrap_or(1);
        let mut position = Vec::with_capacity(at.len());
        for (k, i) in at.iter().enumerate() {
            let last = k + 1 == at.len();
            let i = match self.lane.filter(|l| last && i.mentions(l.var)) {
                Some(l) => {
                    let (c, rest) = i.linear_in(l.var).ok_or("a register's lane is not linear")?;
                    if c.as_constant() != Some(1) {
                        return Err("lanes of a register are picked with gaps".to_owned());
                    }
                    rest
                }
                None => i.clone(),
            };
            position.push(i.as_constant().ok_or("a register is subscripted by a loop")?);
        }
        let mut within = 0;
        if let Some(last) = position.last_mut() {
            within = last.rem_euclid(i64::from(chunk));
            *last -= within;
        }
        let (r, lanes) = self.cell(t, position, chunk);
        Ok((r, within as u32, lanes))
    }

    fn read_cell(&mut self, t: TensorId, dtype: DType, at: &[IntExpr]) -> Built<Val> {
        let lane = Lane::of(dtype).ok_or("a register of this type is not in vectors")?;
        let bears = |i: &IntExpr| self.lane.is_some_and(|l| i.mentions(l.var));
        if let [row, column] = at
            && bears(row)
            && !bears(column)
        {
            return self.read_column(t, lane, row, column);
        }
        let moving = self.lane.is_some_and(|l| at.iter().any(|i| i.mentions(l.var)));
        let (cell, within, chunk) = self.find_cell(t, at)?;
        let lanes = self.lanes();
        if within == 0 && (moving || lanes == 1) {
            if moving && lanes > chunk {
                return Err("a register is read across chunks".to_owned());
            }
            return Ok(Val::Vector(cell));
        }
        if moving && within + lanes > chunk {
            return Err("a register is read across chunks".to_owned());
        }
        let shifted = if within == 0 {
            cell
        } else {
            let mut inst = self.blank(Kind::Op(Op::Align), lane);
            inst.lanes = chunk;
            inst.sources = smallvec![Source::Reg(cell), Source::Reg(cell)];
            inst.imm = within as u8;
            self.pure(Class::Vector, inst, None)?
        };
        if moving || lanes == 1 {
            return Ok(Val::Vector(shifted));
        }
        let mut inst = self.blank(Kind::Splat, lane);
        inst.sources.push(Source::Reg(shifted));
        Ok(Val::Vector(self.pure(Class::Vector, inst, None)?))
    }

    /// A column of a register buffer as a vector: all columns are made at once.
    fn read_column(
        &mut self,
        t: TensorId,
        lane: Lane,
        row: &IntExpr,
        column: &IntExpr,
    ) -> Built<Val> {
        let side = 64 / lane.bytes();
        let var = self.lane.map(|l| l.var).ok_or("a column is read outside of lanes")?;
        let plain = row.as_var() == Some(var);
        let column = column.as_constant().filter(|c| (0..i64::from(side)).contains(c));
        let (Some(column), true, Some(chunk)) = (column, plain, self.vector_buffers.get(&t)) else {
            return Err("a register is read down its columns".to_owned());
        };
        if *chunk != side {
            return Err("a register is read down its columns".to_owned());
        }
        if !self.transposed.contains_key(&t) {
            let rows: Vec<Option<Reg>> = (0..i64::from(side))
                .map(|r| self.cells.get(&(t, vec![r, 0])).map(|(c, _)| *c))
                .collect();
            let columns = self.transpose(lane, &rows)?;
            self.transposed.insert(t, columns);
        }
        let columns = self.transposed.get(&t).map_or(&[][..], Vec::as_slice);
        columns.get(column as usize).map(|r| Val::Vector(*r)).ok_or("no such column".to_owned())
    }

    /// Transposes 16 rows of 16 elements, or 8 of 8. Rows that were never written are any.
    fn transpose(&mut self, lane: Lane, rows: &[Option<Reg>]) -> Built<Vec<Reg>> {
        let any = rows.iter().flatten().next().copied().ok_or("an empty register is read")?;
        let mut v: Vec<Reg> = rows.iter().map(|r| r.unwrap_or(any)).collect();
        let pairs = |b: &mut Self, v: &[Reg], low: Op, high: Op| -> Built<Vec<Reg>> {
            let mut out = Vec::with_capacity(v.len());
            for pair in v.chunks_exact(2) {
                if let [a, c] = pair {
                    out.push(b.shuffle(low, lane, *a, *c, 0)?);
                    out.push(b.shuffle(high, lane, *a, *c, 0)?);
                }
            }
            Ok(out)
        };
        // Groups of as many rows as a group of 128 bits has elements.
        let mut group = 2;
        if lane.bytes() == 4 {
            group = 4;
            v = pairs(self, &v, Op::UnpackLow, Op::UnpackHigh)?;
            let mut next = Vec::with_capacity(v.len());
            for four in v.chunks_exact(4) {
                if let [a, b, c, d] = four {
                    for (x, y) in [(a, c), (b, d)] {
                        next.push(self.shuffle(Op::PairLow, lane, *x, *y, 0)?);
                        next.push(self.shuffle(Op::PairHigh, lane, *x, *y, 0)?);
                    }
                }
            }
            v = next;
        } else {
            v = pairs(self, &v, Op::PairLow, Op::PairHigh)?;
        }
        let mut columns = vec![any; v.len()];
        for j in 0..group {
            let part = |g: usize| v.get(g * group + j).copied().unwrap_or(any);
            let (a, b, c, d) = (part(0), part(1), part(2), part(3));
            let even = (
                self.shuffle(Op::Groups, lane, a, b, 0x88)?,
                self.shuffle(Op::Groups, lane, c, d, 0x88)?,
            );
            let odd = (
                self.shuffle(Op::Groups, lane, a, b, 0xdd)?,
                self.shuffle(Op::Groups, lane, c, d, 0xdd)?,
            );
            for (q, ((x, y), imm)) in
                [(even, 0x88), (odd, 0x88), (even, 0xdd), (odd, 0xdd)].into_iter().enumerate()
            {
                let column = self.shuffle(Op::Groups, lane, x, y, imm)?;
                if let Some(slot) = columns.get_mut(q * group + j) {
                    *slot = column;
                }
            }
        }
        Ok(columns)
    }

    fn shuffle(&mut self, op: Op, lane: Lane, a: Reg, b: Reg, imm: u8) -> Built<Reg> {
        let mut inst = self.blank(Kind::Op(op), lane);
        inst.lanes = 64 / lane.bytes();
        inst.sources = smallvec![Source::Reg(a), Source::Reg(b)];
        inst.imm = imm;
        self.pure(Class::Vector, inst, None)
    }

    /// Performs a store.
    pub(super) fn store(
        &mut self,
        t: TensorId,
        at: &[IntExpr],
        update: Update,
        value: &Expr,
        mask: Option<Reg>,
    ) -> Built<()> {
        let Some(buffer) = self.kernel.buffers.get(t) else { return Ok(()) };
        let (dtype, scope) = (buffer.dtype, buffer.scope);
        if scope == Scope::Register {
            return self.store_cell((t, dtype), at, update, value, mask);
        }
        if let Some(l) = self.lane
            && !at.iter().any(|i| i.mentions(l.var))
        {
            return Err("lanes are combined with each other".to_owned());
        }
        let v = match update {
            Update::Set => self.value(value, mask)?,
            Update::Reduce(r) => {
                let old = self.load(t, dtype, at, mask)?;
                let v = self.value(value, mask)?;
                self.combine(r, dtype, old, v)?
            }
            Update::FusedSum => {
                let old = self.load(t, dtype, at, mask)?;
                let (a, b) = self.factors(value, mask)?;
                self.apply(Func::Fma, dtype, &[a, b, old])?
            }
        };
        let partial = self.lane.and_then(|l| l.partial);
        let mask = self.both(partial, mask)?;
        let (place, step) = self.place(t, at)?;
        let (kind, lane) = if dtype == DType::Bool {
            (Kind::StoreBool, Lane::I32)
        } else {
            let lane =
                Lane::of(dtype).ok_or_else(|| format!("{dtype} is not stored in vectors"))?;
            let line = mask.is_none() && self.writes_lines(t, lane, at)?;
            self.streams |= line;
            (if line { Kind::Stream } else { Kind::Store }, lane)
        };
        if self.lanes() > 1 && step != Some(dtype.size() as i64) {
            return Err("lanes are written with gaps".to_owned());
        }
        let r = match kind {
            Kind::StoreBool => self.mask_of(v)?,
            _ => self.in_register(lane, v)?,
        };
        let mut inst = self.blank(kind, lane);
        inst.sources.push(Source::Reg(r));
        inst.place = Some(place);
        inst.mask = mask;
        self.known.retain(|k, _| k.from != Some(t));
        self.push(Node::Inst(inst))
    }

    fn factors(&mut self, product: &Expr, mask: Option<Reg>) -> Built<(Val, Val)> {
        match product {
            Expr::Apply(Func::Mul, args) => match args.as_slice() {
                [a, b] => Ok((self.value(a, mask)?, self.value(b, mask)?)),
                _ => Err("a product has two factors".to_owned()),
            },
            _ => Err("a fused sum is no product".to_owned()),
        }
    }

    fn store_cell(
        &mut self,
        (t, dtype): (TensorId, DType),
        at: &[IntExpr],
        update: Update,
        value: &Expr,
        mask: Option<Reg>,
    ) -> Built<()> {
        let lane = Lane::of(dtype).ok_or("a register of this type is not in vectors")?;
        let (cell, within, chunk) = self.find_cell(t, at)?;
        let lanes = self.lanes();
        if within != 0 || lanes > chunk {
            return Err("part of a register is written".to_owned());
        }
        // Lanes beside those that count must keep their values: an instruction on a narrower
        // vector would clear them, so it goes over the whole register under a mask.
        let whole = width(lane, lanes) == width(lane, chunk);
        let partial = match self.lane.and_then(|l| l.partial).filter(|_| lanes != chunk) {
            None if lanes != chunk => Some(self.first_lanes(i64::from(lanes))?),
            partial => partial,
        };
        let mask = self.both(partial, mask)?;
        let mut inst = match update {
            Update::FusedSum => {
                let (a, b) = self.factors(value, mask)?;
                let (a, b) = if matches!(a, Val::Literal(_)) { (b, a) } else { (a, b) };
                let a = Val::Vector(self.in_register(lane, a)?);
                let mut inst = self.blank(Kind::Op(Op::Fma231), lane);
                inst.sources = smallvec![self.source(a)?, self.source(b)?, Source::Reg(cell)];
                inst
            }
            Update::Reduce(Reducer::Sum) => {
                let v = self.value(value, mask)?;
                let mut inst = self.blank(Kind::Op(Op::Add), lane);
                inst.sources = smallvec![Source::Reg(cell), self.source(v)?];
                inst
            }
            Update::Reduce(r) => {
                let v = self.value(value, mask)?;
                let v = self.combine(r, dtype, Val::Vector(cell), v)?;
                let mut inst = self.blank(Kind::Copy, lane);
                inst.sources.push(self.source(v)?);
                inst
            }
            Update::Set => {
                let v = self.value(value, mask)?;
                if let (Val::Vector(r), None) = (v, mask)
                    && self.load_into(r, cell)
                {
                    self.transposed.remove(&t);
                    return Ok(());
                }
                let mut inst = self.blank(Kind::Copy, lane);
                inst.sources.push(self.source(v)?);
                inst
            }
        };
        if !whole {
            inst.lanes = chunk;
        }
        inst.dst = Some(cell);
        inst.mask = mask;
        self.transposed.remove(&t);
        self.push(Node::Inst(inst))
    }

    /// Lets a load that was just made write a cell instead of a register of its own.
    fn load_into(&mut self, r: Reg, cell: Reg) -> bool {
        let Some(Node::Inst(i)) = self.last_node() else { return false };
        if i.dst != Some(r) || !matches!(i.kind, Kind::Load | Kind::Broadcast) {
            return false;
        }
        i.dst = Some(cell);
        self.known.retain(|_, known| *known != r);
        true
    }

    /// `old op new` for a reducer.
    fn combine(&mut self, r: Reducer, dtype: DType, old: Val, new: Val) -> Built<Val> {
        match r.func() {
            Some(func) => self.apply(func, dtype, &[old, new]),
            None => Err("log-sum-exp is not combined in vectors".to_owned()),
        }
    }
}

fn literal(s: tcc_abi::Scalar) -> Built<Val> {
    let dtype = s.dtype();
    if dtype == DType::Bool {
        return Ok(Val::Bool(s.to_bool()));
    }
    Lane::of(dtype).ok_or_else(|| format!("{dtype} is not in vectors"))?;
    Ok(Val::Literal(s.bits() as u64))
}
