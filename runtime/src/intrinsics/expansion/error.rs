//! The error function and its complement.
//!
//! Made from `ir-spec/std/scalar_*.tir` by `TCC_BLESS=1 cargo test --test intrinsics`.

use super::select;

#[inline(always)]
pub(in crate::intrinsics) fn erf_f32(x: f32) -> f32 {
    let v = f32::abs(x);
    let a = select(v > 4.0, 4.0, v);
    let z = a * a;
    let h3 = f32::mul_add(
        f32::mul_add(f32::mul_add(9.318158e-6, a, -0.00030387164), a, 0.0035664262),
        a,
        -0.023603385,
    );
    let g3 = f32::mul_add(
        f32::mul_add(f32::mul_add(7.8631376e-5, z, -0.00080257043), z, 0.0051909056),
        z,
        -0.026855359,
    );
    let h =
        f32::mul_add(f32::mul_add(f32::mul_add(h3, a, 0.10605528), a, 0.63525945), a, 1.1286223);
    let g =
        f32::mul_add(f32::mul_add(f32::mul_add(g3, z, 0.11283623), z, -0.3761263), z, 0.12837917);
    let b = -(h * a);
    let km = f32::mul_add(b, 1.442695, 12582912.0);
    let k = km - 12582912.0;
    let rh = f32::mul_add(k, -0.69314575, b);
    let j = k + 12582912.0;
    let r = f32::mul_add(k, -1.4286068e-6, rh);
    let s = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(j), 127), 23));
    let q3 = f32::mul_add(0.0013843321, r, 0.008369902);
    let q =
        f32::mul_add(f32::mul_add(f32::mul_add(q3, r, 0.041668016), r, 0.16666509), r, 0.49999994);
    let p = f32::mul_add(r * r, q, r) + 1.0;
    f32::copysign(select(v < 0.875, f32::mul_add(v, g, v), 1.0 - (p * s)), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn erf_f64(x: f64) -> f64 {
    let v = f64::abs(x);
    let a = select(v > 6.0, 6.0, v);
    let z = a * a;
    let h18 = f64::mul_add(-1.1121391896915938e-14, a, 7.069800597449239e-13);
    let g10 = f64::mul_add(-7.609022371320444e-10, z, 1.3617284076512819e-8);
    let h16 =
        f64::mul_add(f64::mul_add(h18, a, -2.0701626510748927e-11), a, 3.7388579409003336e-10);
    let g8 = f64::mul_add(f64::mul_add(g10, z, -1.6184111002723185e-7), z, 1.644416413172117e-6);
    let h14 = f64::mul_add(f64::mul_add(h16, a, -4.691986658734984e-9), a, 4.359880339892134e-8);
    let g6 = f64::mul_add(f64::mul_add(g8, z, -1.4924466564946992e-5), z, 0.00012055280535544163);
    let h12 = f64::mul_add(f64::mul_add(h14, a, -3.1141487056056195e-7), a, 1.7467369533082762e-6);
    let g4 = f64::mul_add(f64::mul_add(g6, z, -0.000854832548599512), z, 0.005223977596750432);
    let h10 = f64::mul_add(f64::mul_add(h12, a, -7.75615473580044e-6), a, 2.7040383004689615e-5);
    let g2 = f64::mul_add(f64::mul_add(g4, z, -0.026866170641960202), z, 0.11283791670936953);
    let h8 = f64::mul_add(f64::mul_add(h10, a, -7.113922241087613e-5), a, 0.00012279914778018809);
    let g = f64::mul_add(f64::mul_add(g2, z, -0.37612638903183343), z, 0.12837916709551256);
    let h6 = f64::mul_add(f64::mul_add(h8, a, -4.043065465469502e-5), a, -0.0005294942786375974);
    let h4 = f64::mul_add(f64::mul_add(h6, a, 0.0016522100855052007), a, -0.00018442676540814213);
    let h2 = f64::mul_add(f64::mul_add(h4, a, -0.019138875793166827), a, 0.1027756929767043);
    let h = f64::mul_add(f64::mul_add(h2, a, 0.6366191982113235), a, 1.1283792174151648);
    let b = -(h * a);
    let km = f64::mul_add(b, 1.4426950408889634, 6755399441055744.0);
    let k = km - 6755399441055744.0;
    let rh = f64::mul_add(k, -0.6931471805598903, b);
    let j = k + 6755399441055744.0;
    let r = f64::mul_add(k, -5.497923018708371e-14, rh);
    let s = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(j), 1023), 52));
    let q8 = f64::mul_add(2.501920159334637e-8, r, 2.7632218659396207e-7);
    let q6 = f64::mul_add(f64::mul_add(q8, r, 2.7557540507049956e-6), r, 2.4801487923105834e-5);
    let q4 = f64::mul_add(f64::mul_add(q6, r, 0.00019841269541105347), r, 0.0013888888948227374);
    let q2 = f64::mul_add(f64::mul_add(q4, r, 0.008333333333486391), r, 0.04166666666651451);
    let q = f64::mul_add(f64::mul_add(q2, r, 0.16666666666666413), r, 0.5000000000000012);
    let p = f64::mul_add(r * r, q, r) + 1.0;
    f64::copysign(select(v < 1.0, f64::mul_add(v, g, v), 1.0 - (p * s)), x)
}

#[inline(always)]
pub(in crate::intrinsics) fn erfc_f32(x: f32) -> f32 {
    let v0 = f32::abs(x);
    let z = x * x;
    let a = select(v0 > 10.3, 10.3, v0);
    let h3 = f32::mul_add(0.004720294, z, -0.026758648);
    let dn = a + 2.0;
    let b = (-a) * a;
    let h =
        f32::mul_add(f32::mul_add(f32::mul_add(h3, z, 0.11282854), z, -0.3761261), z, 0.12837917);
    let t = (a - 2.0) / dn;
    let bl = f32::mul_add(a, -a, -b);
    let km = f32::mul_add(b, 1.442695, 12582912.0);
    let g16 = f32::mul_add(f32::mul_add(-0.0002634555, t, -0.0012477715), t, 0.0011710625);
    let k = km - 12582912.0;
    let g13 = f32::mul_add(
        f32::mul_add(f32::mul_add(g16, t, 0.008649547), t, -0.008009833),
        t,
        -0.054210097,
    );
    let rh = f32::mul_add(k, -0.69314575, b);
    let k1m = f32::mul_add(k, 0.5, 12582912.0);
    let g1 =
        f32::mul_add(f32::mul_add(f32::mul_add(g13, t, 0.1640487), t, -0.16603081), t, -0.09276373);
    let r = f32::mul_add(k, -1.4286068e-6, rh);
    let k2m = (k - (k1m - 12582912.0)) + 12582912.0;
    let k1s = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(k1m), 127), 23));
    let g0 = f32::mul_add(g1, t, 1.1448627e-8);
    let u = r + bl;
    let k2s = f32::from_bits(u32::wrapping_shl(u32::wrapping_add(f32::to_bits(k2m), 127), 23));
    let g = g0 + 1.2769784;
    let q3 = f32::mul_add(0.0013843321, u, 0.008369902);
    let q =
        f32::mul_add(f32::mul_add(f32::mul_add(q3, u, 0.041668016), u, 0.16666509), u, 0.49999994);
    let p = f32::mul_add(u * u, q, u);
    let v = (f32::mul_add(g, p, g0) + 1.2769784) / f32::mul_add(2.0, a, 1.0);
    let e = (v * k1s) * k2s;
    select(a < 0.5, 1.0 - f32::mul_add(x, h, x), select(x < 0.0, 2.0 - e, e))
}

#[inline(always)]
pub(in crate::intrinsics) fn erfc_f64(x: f64) -> f64 {
    let v0 = f64::abs(x);
    let z = x * x;
    let a = select(v0 > 28.0, 28.0, v0);
    let h6 = f64::mul_add(
        f64::mul_add(1.4436027356458416e-6, z, -1.4817248015954578e-5),
        z,
        0.00012052190893537147,
    );
    let dn = a + 4.0;
    let b = (-a) * a;
    let h4 = f64::mul_add(f64::mul_add(h6, z, -0.0008548273976134831), z, 0.005223977100114978);
    let t = (a - 4.0) / dn;
    let bl = f64::mul_add(a, -a, -b);
    let km = f64::mul_add(b, 1.4426950408889634, 6755399441055744.0);
    let h2 = f64::mul_add(f64::mul_add(h4, z, -0.02686617061594105), z, 0.11283791670873912);
    let g118 = f64::mul_add(
        f64::mul_add(-1.1850872391953307e-8, t, -1.253508267837644e-8),
        t,
        1.0995191498785359e-7,
    );
    let k = km - 6755399441055744.0;
    let h = f64::mul_add(f64::mul_add(h2, z, -0.3761263890318288), z, 0.12837916709551256);
    let g116 = f64::mul_add(f64::mul_add(g118, t, 6.785499290983767e-8), t, -8.282655956927781e-7);
    let rh = f64::mul_add(k, -0.6931471805598903, b);
    let k1m = f64::mul_add(k, 0.5, 6755399441055744.0);
    let g114 = f64::mul_add(f64::mul_add(g116, t, 2.986277247415067e-7), t, 5.712919582040257e-6);
    let r = f64::mul_add(k, -5.497923018708371e-14, rh);
    let k2m = (k - (k1m - 6755399441055744.0)) + 6755399441055744.0;
    let k1s = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(k1m), 1023), 52));
    let g112 =
        f64::mul_add(f64::mul_add(g114, t, -1.1224165317842684e-5), t, -2.4400953879864284e-5);
    let u = r + bl;
    let k2s = f64::from_bits(u64::wrapping_shl(u64::wrapping_add(f64::to_bits(k2m), 1023), 52));
    let g110 =
        f64::mul_add(f64::mul_add(g112, t, 0.00015062229123069404), t, -0.00019925613917634035);
    let q8 = f64::mul_add(2.501920159334637e-8, u, 2.7632218659396207e-7);
    let g18 = f64::mul_add(f64::mul_add(g110, t, -0.0007577734048320293), t, 0.0050319698704969565);
    let q6 = f64::mul_add(f64::mul_add(q8, u, 2.7557540507049956e-6), u, 2.4801487923105834e-5);
    let g16 = f64::mul_add(f64::mul_add(g18, t, -0.01619773404370484), t, 0.03716751554977038);
    let q4 = f64::mul_add(f64::mul_add(q6, u, 0.00019841269541105347), u, 0.0013888888948227374);
    let g14 = f64::mul_add(f64::mul_add(g16, t, -0.06633036581325452), t, 0.0937328349975857);
    let q2 = f64::mul_add(f64::mul_add(q4, u, 0.008333333333486391), u, 0.04166666666651451);
    let g12 = f64::mul_add(f64::mul_add(g14, t, -0.10103906603626318), t, 0.06809705425471428);
    let q = f64::mul_add(f64::mul_add(q2, u, 0.16666666666666413), u, 0.5000000000000012);
    let g1 = f64::mul_add(f64::mul_add(g12, t, 0.015379652102619067), t, -0.1396211168405627);
    let p = f64::mul_add(u * u, q, u);
    let g0 = f64::mul_add(g1, t, -4.358071951307226e-17);
    let g = g0 + 1.2329951186255526;
    let v = (f64::mul_add(g, p, g0) + 1.2329951186255526) / f64::mul_add(2.0, a, 1.0);
    let e = (v * k1s) * k2s;
    select(a < 0.5, 1.0 - f64::mul_add(x, h, x), select(x < 0.0, 2.0 - e, e))
}
