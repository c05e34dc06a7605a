//! Logarithms, powers and inverse hyperbolic functions.
//!
//! Made from `ir-spec/std/scalar_*.tir` by `TCC_BLESS=1 cargo test --test intrinsics`.

use super::select;

#[inline(always)]
pub(in crate::intrinsics) fn log_f32(x: f32) -> f32 {
    let a = select(x < 1.1754944e-38, x * 16777216.0, x);
    let o = select(x == 0.0, f32::NEG_INFINITY, select(x < 0.0, f32::NAN, x));
    let ai = f32::to_bits(a);
    let aj = u32::wrapping_add(ai, 4913933);
    let m = f32::from_bits(u32::wrapping_add(u32::wrapping_sub(ai, aj & 4286578688), 1065353216));
    let e0b = f32::from_bits(u32::wrapping_shr(aj, 23) | 1258291200);
    let e0 = e0b - 8388735.0;
    let f = m - 1.0;
    let e = select(x < 1.1754944e-38, e0 - 24.0, e0);
    let h = (0.5 * f) * f;
    let p6 = f32::mul_add(-0.076387115, f, 0.12765366);
    let p3 =
        f32::mul_add(f32::mul_add(f32::mul_add(p6, f, -0.1316005), f, 0.1420111), f, -0.1662332);
    let p =
        f32::mul_add(f32::mul_add(f32::mul_add(p3, f, 0.2000126), f, -0.25000823), f, 0.3333333);
    let g = (f * f) * (f * p);
    let v = f32::mul_add(e, 1.4286068e-6, g);
    let l = f32::mul_add(e, 0.69314575, f - (h - v));
    select((x > 0.0) & (x < f32::INFINITY), l, o)
}

#[inline(always)]
pub(in crate::intrinsics) fn log_f64(x: f64) -> f64 {
    let a = select(x < 2.2250738585072014e-308, x * 1.8014398509481984e16, x);
    let o = select(x == 0.0, f64::NEG_INFINITY, select(x < 0.0, f64::NAN, x));
    let ai = f64::to_bits(a);
    let aj = u64::wrapping_add(ai, 2638147582215220);
    let m = f64::from_bits(u64::wrapping_add(
        u64::wrapping_sub(ai, aj & 18442240474082181120),
        4607182418800017408,
    ));
    let e0b = f64::from_bits(u64::wrapping_shr(aj, 52) | 4841369599423283200);
    let e0 = e0b - 4503599627371519.0;
    let f = m - 1.0;
    let e = select(x < 2.2250738585072014e-308, e0 - 54.0, e0);
    let h = (0.5 * f) * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let p4 = f64::mul_add(
        f64::mul_add(0.14795660987402448, z, 0.15314082443796193),
        z,
        0.18183562931891295,
    );
    let p2 = f64::mul_add(f64::mul_add(p4, z, 0.2222219860373536), z, 0.2857142874203876);
    let p = f64::mul_add(f64::mul_add(p2, z, 0.3999999999941661), z, 0.6666666666666734);
    let g = s * f64::mul_add(z, p, h);
    let v = f64::mul_add(e, 5.497923018708371e-14, g);
    let l = f64::mul_add(e, 0.6931471805598903, f - (h - v));
    select((x > 0.0) & (x < f64::INFINITY), l, o)
}

#[inline(always)]
pub(in crate::intrinsics) fn log2_f32(x: f32) -> f32 {
    let a = select(x < 1.1754944e-38, x * 16777216.0, x);
    let o = select(x == 0.0, f32::NEG_INFINITY, select(x < 0.0, f32::NAN, x));
    let ai = f32::to_bits(a);
    let aj = u32::wrapping_add(ai, 4913933);
    let m = f32::from_bits(u32::wrapping_add(u32::wrapping_sub(ai, aj & 4286578688), 1065353216));
    let e0b = f32::from_bits(u32::wrapping_shr(aj, 23) | 1258291200);
    let e0 = e0b - 8388735.0;
    let f = m - 1.0;
    let e = select(x < 1.1754944e-38, e0 - 24.0, e0);
    let h = (0.5 * f) * f;
    let p6 = f32::mul_add(-0.076387115, f, 0.12765366);
    let p3 =
        f32::mul_add(f32::mul_add(f32::mul_add(p6, f, -0.1316005), f, 0.1420111), f, -0.1662332);
    let hl = f32::mul_add(0.5 * f, f, -h);
    let u = f - h;
    let p =
        f32::mul_add(f32::mul_add(f32::mul_add(p3, f, 0.2000126), f, -0.25000823), f, 0.3333333);
    let ph = u * 1.442695;
    let g = (f * f) * (f * p);
    let pe = f32::mul_add(u, 1.442695, -ph);
    let t = e + ph;
    let v = (((f - u) - h) - hl) + g;
    let pv = f32::mul_add(u, 1.925963e-8, pe);
    let pl = f32::mul_add(v, 1.442695, pv);
    let l = t + (((e - t) + ph) + pl);
    select((x > 0.0) & (x < f32::INFINITY), l, o)
}

#[inline(always)]
pub(in crate::intrinsics) fn log2_f64(x: f64) -> f64 {
    let a = select(x < 2.2250738585072014e-308, x * 1.8014398509481984e16, x);
    let o = select(x == 0.0, f64::NEG_INFINITY, select(x < 0.0, f64::NAN, x));
    let ai = f64::to_bits(a);
    let aj = u64::wrapping_add(ai, 2638147582215220);
    let m = f64::from_bits(u64::wrapping_add(
        u64::wrapping_sub(ai, aj & 18442240474082181120),
        4607182418800017408,
    ));
    let e0b = f64::from_bits(u64::wrapping_shr(aj, 52) | 4841369599423283200);
    let e0 = e0b - 4503599627371519.0;
    let f = m - 1.0;
    let e = select(x < 2.2250738585072014e-308, e0 - 54.0, e0);
    let h = (0.5 * f) * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let hl = f64::mul_add(0.5 * f, f, -h);
    let u = f - h;
    let p4 = f64::mul_add(
        f64::mul_add(0.14795660987402448, z, 0.15314082443796193),
        z,
        0.18183562931891295,
    );
    let ph = u * 1.4426950408889634;
    let p2 = f64::mul_add(f64::mul_add(p4, z, 0.2222219860373536), z, 0.2857142874203876);
    let pe = f64::mul_add(u, 1.4426950408889634, -ph);
    let t = e + ph;
    let p = f64::mul_add(f64::mul_add(p2, z, 0.3999999999941661), z, 0.6666666666666734);
    let pv = f64::mul_add(u, 2.0355273740931033e-17, pe);
    let g = s * f64::mul_add(z, p, h);
    let v = (((f - u) - h) - hl) + g;
    let pl = f64::mul_add(v, 1.4426950408889634, pv);
    let l = t + (((e - t) + ph) + pl);
    select((x > 0.0) & (x < f64::INFINITY), l, o)
}

#[inline(always)]
pub(in crate::intrinsics) fn log10_f32(x: f32) -> f32 {
    let a = select(x < 1.1754944e-38, x * 16777216.0, x);
    let o = select(x == 0.0, f32::NEG_INFINITY, select(x < 0.0, f32::NAN, x));
    let ai = f32::to_bits(a);
    let aj = u32::wrapping_add(ai, 4913933);
    let m = f32::from_bits(u32::wrapping_add(u32::wrapping_sub(ai, aj & 4286578688), 1065353216));
    let e0b = f32::from_bits(u32::wrapping_shr(aj, 23) | 1258291200);
    let e0 = e0b - 8388735.0;
    let f = m - 1.0;
    let e = select(x < 1.1754944e-38, e0 - 24.0, e0);
    let h = (0.5 * f) * f;
    let p6 = f32::mul_add(-0.076387115, f, 0.12765366);
    let p3 =
        f32::mul_add(f32::mul_add(f32::mul_add(p6, f, -0.1316005), f, 0.1420111), f, -0.1662332);
    let hl = f32::mul_add(0.5 * f, f, -h);
    let u = f - h;
    let eh = e * 0.3010254;
    let p =
        f32::mul_add(f32::mul_add(f32::mul_add(p3, f, 0.2000126), f, -0.25000823), f, 0.3333333);
    let ph = u * 0.4342945;
    let g = (f * f) * (f * p);
    let pe = f32::mul_add(u, 0.4342945, -ph);
    let t = eh + ph;
    let v = (((f - u) - h) - hl) + g;
    let pv = f32::mul_add(u, -1.010305e-8, pe);
    let pl = f32::mul_add(v, 0.4342945, pv);
    let tl = f32::mul_add(e, 4.605039e-6, pl);
    let l = t + (((eh - t) + ph) + tl);
    select((x > 0.0) & (x < f32::INFINITY), l, o)
}

#[inline(always)]
pub(in crate::intrinsics) fn log10_f64(x: f64) -> f64 {
    let a = select(x < 2.2250738585072014e-308, x * 1.8014398509481984e16, x);
    let o = select(x == 0.0, f64::NEG_INFINITY, select(x < 0.0, f64::NAN, x));
    let ai = f64::to_bits(a);
    let aj = u64::wrapping_add(ai, 2638147582215220);
    let m = f64::from_bits(u64::wrapping_add(
        u64::wrapping_sub(ai, aj & 18442240474082181120),
        4607182418800017408,
    ));
    let e0b = f64::from_bits(u64::wrapping_shr(aj, 52) | 4841369599423283200);
    let e0 = e0b - 4503599627371519.0;
    let f = m - 1.0;
    let e = select(x < 2.2250738585072014e-308, e0 - 54.0, e0);
    let h = (0.5 * f) * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let hl = f64::mul_add(0.5 * f, f, -h);
    let u = f - h;
    let eh = e * 0.30102999566395283;
    let p4 = f64::mul_add(
        f64::mul_add(0.14795660987402448, z, 0.15314082443796193),
        z,
        0.18183562931891295,
    );
    let ph = u * 0.4342944819032518;
    let p2 = f64::mul_add(f64::mul_add(p4, z, 0.2222219860373536), z, 0.2857142874203876);
    let pe = f64::mul_add(u, 0.4342944819032518, -ph);
    let t = eh + ph;
    let p = f64::mul_add(f64::mul_add(p2, z, 0.3999999999941661), z, 0.6666666666666734);
    let pv = f64::mul_add(u, 1.098319650216765e-17, pe);
    let g = s * f64::mul_add(z, p, h);
    let v = (((f - u) - h) - hl) + g;
    let pl = f64::mul_add(v, 0.4342944819032518, pv);
    let tl = f64::mul_add(e, 2.8363394551044964e-14, pl);
    let l = t + (((eh - t) + ph) + tl);
    select((x > 0.0) & (x < f64::INFINITY), l, o)
}

#[inline(always)]
pub(in crate::intrinsics) fn log1p_f32(x: f32) -> f32 {
    let b = 1.0 + x;
    let n = (x > -0.25) & (x < 0.375);
    let o = select(x == -1.0, f32::NEG_INFINITY, select(x < -1.0, f32::NAN, x));
    let c = select(x < 1.0, x - (b - 1.0), 1.0 - (b - x));
    let bi = f32::to_bits(b);
    let bj = u32::wrapping_add(bi, 4913933);
    let m = f32::from_bits(u32::wrapping_add(u32::wrapping_sub(bi, bj & 4286578688), 1065353216));
    let e0b = f32::from_bits(u32::wrapping_shr(bj, 23) | 1258291200);
    let e0 = e0b - 8388735.0;
    let f = select(n, x, m - 1.0);
    let em = select(e0 > 127.0, -127.0, -e0) + 12582912.0;
    let e = select(n, 0.0, e0);
    let h = (0.5 * f) * f;
    let p6 = f32::mul_add(-0.076387115, f, 0.12765366);
    let sc = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(em), 127), 23));
    let p3 =
        f32::mul_add(f32::mul_add(f32::mul_add(p6, f, -0.1316005), f, 0.1420111), f, -0.1662332);
    let cs = c * sc;
    let p =
        f32::mul_add(f32::mul_add(f32::mul_add(p3, f, 0.2000126), f, -0.25000823), f, 0.3333333);
    let cf = select(n, 0.0, cs * f32::mul_add(f, f, 1.0 - f));
    let g = (f * f) * (f * p);
    let v = f32::mul_add(e, 1.4286068e-6, g + cf);
    let l = f32::mul_add(e, 0.69314575, f - (h - v));
    select((x > -1.0) & (x < f32::INFINITY), f32::copysign(l, x), o)
}

#[inline(always)]
pub(in crate::intrinsics) fn log1p_f64(x: f64) -> f64 {
    let b = 1.0 + x;
    let n = (x > -0.25) & (x < 0.375);
    let o = select(x == -1.0, f64::NEG_INFINITY, select(x < -1.0, f64::NAN, x));
    let c = select(x < 1.0, x - (b - 1.0), 1.0 - (b - x));
    let bi = f64::to_bits(b);
    let bj = u64::wrapping_add(bi, 2638147582215220);
    let m = f64::from_bits(u64::wrapping_add(
        u64::wrapping_sub(bi, bj & 18442240474082181120),
        4607182418800017408,
    ));
    let e0b = f64::from_bits(u64::wrapping_shr(bj, 52) | 4841369599423283200);
    let e0 = e0b - 4503599627371519.0;
    let f = select(n, x, m - 1.0);
    let em = select(e0 > 1023.0, -1023.0, -e0) + 6755399441055744.0;
    let e = select(n, 0.0, e0);
    let h = (0.5 * f) * f;
    let s = f / (2.0 + f);
    let sc = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(em), 1023), 52));
    let z = s * s;
    let cs = c * sc;
    let p4 = f64::mul_add(
        f64::mul_add(0.14795660987402448, z, 0.15314082443796193),
        z,
        0.18183562931891295,
    );
    let cf = select(n, 0.0, cs * f64::mul_add(f, f, 1.0 - f));
    let p2 = f64::mul_add(f64::mul_add(p4, z, 0.2222219860373536), z, 0.2857142874203876);
    let p = f64::mul_add(f64::mul_add(p2, z, 0.3999999999941661), z, 0.6666666666666734);
    let g = s * f64::mul_add(z, p, h);
    let v = f64::mul_add(e, 5.497923018708371e-14, g + cf);
    let l = f64::mul_add(e, 0.6931471805598903, f - (h - v));
    select((x > -1.0) & (x < f64::INFINITY), f64::copysign(l, x), o)
}

#[inline(always)]
pub(in crate::intrinsics) fn pow_f32(x: f32, y: f32) -> f32 {
    let ax = f32::abs(x);
    let y0 = select(y > 1099511600000.0, 1099511600000.0, y);
    let whole = f32::trunc(y) == y;
    let half = 0.5 * y;
    let minus = (f32::to_bits(x) as i32) < 0;
    let a = select(ax < 1.1754944e-38, ax * 16777216.0, ax);
    let yc = select(y < -1099511600000.0, -1099511600000.0, y0);
    let odd = whole & (f32::trunc(half) != half);
    let ai = f32::to_bits(a);
    let aj = u32::wrapping_add(ai, 4913933);
    let m = f32::from_bits(u32::wrapping_add(u32::wrapping_sub(ai, aj & 4286578688), 1065353216));
    let e0b = f32::from_bits(u32::wrapping_shr(aj, 23) | 1258291200);
    let e0 = e0b - 8388735.0;
    let f = m - 1.0;
    let dh = m + 1.0;
    let e = select(ax < 1.1754944e-38, e0 - 24.0, e0);
    let dl = (1.0 - dh) + m;
    let rc = 1.0 / dh;
    let sh = f * rc;
    let s1 = f32::mul_add(-sh, dh, f);
    let zh = sh * sh;
    let sl = f32::mul_add(-sh, dl, s1) * rc;
    let z1 = f32::mul_add(sh, sh, -zh);
    let q = f32::mul_add(
        f32::mul_add(f32::mul_add(0.0977821, zh, 0.110898644), zh, 0.14285986),
        zh,
        0.19999999,
    );
    let zl = f32::mul_add(2.0 * sh, sl, z1);
    let u = zh * q;
    let vh = u + 0.33333334;
    let v1 = (0.33333334 - vh) + u;
    let ph = zh * vh;
    let vl = v1 - 9.934108e-9;
    let p1 = f32::mul_add(zh, vh, -ph);
    let th = sh * ph;
    let p2 = f32::mul_add(zh, vl, p1);
    let t1 = f32::mul_add(sh, ph, -th);
    let ch = sh + th;
    let pl = f32::mul_add(zl, vh, p2);
    let c1 = (sh - ch) + th;
    let gh = ch * 2.88539;
    let t2 = f32::mul_add(sh, pl, t1);
    let g1 = f32::mul_add(ch, 2.88539, -gh);
    let lh = e + gh;
    let tl = f32::mul_add(sl, ph, t2);
    let g2 = f32::mul_add(ch, 3.851926e-8, g1);
    let lx = select(ax == 0.0, f32::NEG_INFINITY, select(ax == f32::INFINITY, f32::INFINITY, lh));
    let cl = c1 + (sl + tl);
    let wh = yc * lx;
    let gl = f32::mul_add(cl, 2.88539, g2);
    let w1 = f32::mul_add(yc, lx, -wh);
    let w0 = select(wh > 160.0, 160.0, wh);
    let ll = ((e - lh) + gh) + gl;
    let wc = select(wh < -160.0, -160.0, w0);
    let w2 = f32::mul_add(yc, ll, w1);
    let km = wc + 12582912.0;
    let wl = select(f32::abs(wh) < 160.0, w2, 0.0);
    let k = km - 12582912.0;
    let d = (wc - k) + wl;
    let k1m = f32::mul_add(k, 0.5, 12582912.0);
    let j3 = f32::mul_add(f32::mul_add(0.00015468406, d, 0.0013392089), d, 0.00961806);
    let k2m = (k - (k1m - 12582912.0)) + 12582912.0;
    let k1s = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(k1m), 127), 23));
    let j =
        f32::mul_add(f32::mul_add(f32::mul_add(j3, d, 0.055503573), d, 0.2402265), d, 0.6931472);
    let k2s = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(k2m), 127), 23));
    let v = f32::mul_add(d, j, 1.0);
    let s = (v * k1s) * k2s;
    let signed = select(odd & minus, -s, s);
    let b = select(((x < 0.0) & (!whole)) & (x != f32::NEG_INFINITY), f32::NAN, signed);
    let n = select(f32::is_nan(x), x, b);
    select((y == 0.0) | (x == 1.0), 1.0, n)
}

#[inline(always)]
pub(in crate::intrinsics) fn pow_f64(x: f64, y: f64) -> f64 {
    let ax = f64::abs(x);
    let y0 = select(y > 1.1805916207174113e21, 1.1805916207174113e21, y);
    let whole = f64::trunc(y) == y;
    let half = 0.5 * y;
    let minus = (f64::to_bits(x) as i64) < 0;
    let a = select(ax < 2.2250738585072014e-308, ax * 1.8014398509481984e16, ax);
    let yc = select(y < -1.1805916207174113e21, -1.1805916207174113e21, y0);
    let odd = whole & (f64::trunc(half) != half);
    let ai = f64::to_bits(a);
    let aj = u64::wrapping_add(ai, 2638147582215220);
    let m = f64::from_bits(u64::wrapping_add(
        u64::wrapping_sub(ai, aj & 18442240474082181120),
        4607182418800017408,
    ));
    let e0b = f64::from_bits(u64::wrapping_shr(aj, 52) | 4841369599423283200);
    let e0 = e0b - 4503599627371519.0;
    let f = m - 1.0;
    let dh = m + 1.0;
    let e = select(ax < 2.2250738585072014e-308, e0 - 54.0, e0);
    let dl = (1.0 - dh) + m;
    let rc = 1.0 / dh;
    let sh = f * rc;
    let s1 = f64::mul_add(-sh, dh, f);
    let zh = sh * sh;
    let sl = f64::mul_add(-sh, dl, s1) * rc;
    let z1 = f64::mul_add(sh, sh, -zh);
    let q6 = f64::mul_add(0.059908900734333456, zh, 0.05837889089223662);
    let zl = f64::mul_add(2.0 * sh, sl, z1);
    let q4 = f64::mul_add(f64::mul_add(q6, zh, 0.06668132295346926), zh, 0.07692279213482855);
    let q2 = f64::mul_add(f64::mul_add(q4, zh, 0.09090909422002828), zh, 0.1111111110889485);
    let q = f64::mul_add(f64::mul_add(q2, zh, 0.1428571428572192), zh, 0.1999999999999999);
    let u = zh * q;
    let vh = u + 0.3333333333333333;
    let v1 = (0.3333333333333333 - vh) + u;
    let ph = zh * vh;
    let vl = v1 + 1.850371707708594e-17;
    let p1 = f64::mul_add(zh, vh, -ph);
    let th = sh * ph;
    let p2 = f64::mul_add(zh, vl, p1);
    let t1 = f64::mul_add(sh, ph, -th);
    let ch = sh + th;
    let pl = f64::mul_add(zl, vh, p2);
    let c1 = (sh - ch) + th;
    let gh = ch * 2.8853900817779268;
    let t2 = f64::mul_add(sh, pl, t1);
    let g1 = f64::mul_add(ch, 2.8853900817779268, -gh);
    let lh = e + gh;
    let tl = f64::mul_add(sl, ph, t2);
    let g2 = f64::mul_add(ch, 4.0710547481862066e-17, g1);
    let lx = select(ax == 0.0, f64::NEG_INFINITY, select(ax == f64::INFINITY, f64::INFINITY, lh));
    let cl = c1 + (sl + tl);
    let wh = yc * lx;
    let gl = f64::mul_add(cl, 2.8853900817779268, g2);
    let w1 = f64::mul_add(yc, lx, -wh);
    let w0 = select(wh > 1100.0, 1100.0, wh);
    let ll = ((e - lh) + gh) + gl;
    let wc = select(wh < -1100.0, -1100.0, w0);
    let w2 = f64::mul_add(yc, ll, w1);
    let km = wc + 6755399441055744.0;
    let wl = select(f64::abs(wh) < 1100.0, w2, 0.0);
    let k = km - 6755399441055744.0;
    let d = (wc - k) + wl;
    let k1m = f64::mul_add(k, 0.5, 6755399441055744.0);
    let j10 = f64::mul_add(2.3607145489733974e-11, d, 4.474077593388698e-10);
    let k2m = (k - (k1m - 6755399441055744.0)) + 6755399441055744.0;
    let k1s = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(k1m), 1023), 52));
    let j8 = f64::mul_add(f64::mul_add(j10, d, 7.056448787625778e-9), d, 1.0177933221800223e-7);
    let k2s = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(k2m), 1023), 52));
    let j6 = f64::mul_add(f64::mul_add(j8, d, 1.3215482721820701e-6), d, 1.525273414829274e-5);
    let j4 = f64::mul_add(f64::mul_add(j6, d, 0.00015403530397933835), d, 0.0013333558146069572);
    let j2 = f64::mul_add(f64::mul_add(j4, d, 0.009618129107626626), d, 0.0555041086648232);
    let j = f64::mul_add(f64::mul_add(j2, d, 0.24022650695910072), d, 0.6931471805599453);
    let v = f64::mul_add(d, j, 1.0);
    let s = (v * k1s) * k2s;
    let signed = select(odd & minus, -s, s);
    let b = select(((x < 0.0) & (!whole)) & (x != f64::NEG_INFINITY), f64::NAN, signed);
    let n = select(f64::is_nan(x), x, b);
    select((y == 0.0) | (x == 1.0), 1.0, n)
}

#[inline(always)]
pub(in crate::intrinsics) fn asinh_f32(x: f32) -> f32 {
    let a = f32::abs(x);
    let b = a > 1099511600000.0;
    let q = a * a;
    let s = a + (q / (1.0 + f32::sqrt(1.0 + q)));
    let l = log1p_f32(select(b, a, s));
    f32::copysign(select(b, l + 0.6931472, l), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn asinh_f64(x: f64) -> f64 {
    let a = f64::abs(x);
    let b = a > 1.2676506002282294e30;
    let q = a * a;
    let s = a + (q / (1.0 + f64::sqrt(1.0 + q)));
    let l = log1p_f64(select(b, a, s));
    f64::copysign(select(b, l + 0.6931471805599453, l), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn acosh_f32(x: f32) -> f32 {
    let t = x - 1.0;
    let b = x > 1099511600000.0;
    let s = t + f32::sqrt(f32::mul_add(t, t, 2.0 * t));
    let l = log1p_f32(select(b, x, s));
    select(x < 1.0, f32::NAN, select(b, l + 0.6931472, l))
}

#[inline(always)]
pub(in crate::intrinsics) fn acosh_f64(x: f64) -> f64 {
    let t = x - 1.0;
    let b = x > 1.2676506002282294e30;
    let s = t + f64::sqrt(f64::mul_add(t, t, 2.0 * t));
    let l = log1p_f64(select(b, x, s));
    select(x < 1.0, f64::NAN, select(b, l + 0.6931471805599453, l))
}

#[inline(always)]
pub(in crate::intrinsics) fn atanh_f32(x: f32) -> f32 {
    let a = f32::abs(x);
    f32::copysign(0.5 * log1p_f32((2.0 * a) / (1.0 - a)), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn atanh_f64(x: f64) -> f64 {
    let a = f64::abs(x);
    f64::copysign(0.5 * log1p_f64((2.0 * a) / (1.0 - a)), x)
}
