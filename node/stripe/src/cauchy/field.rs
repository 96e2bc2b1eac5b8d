//! GF(2⁸): bytes as polynomials over GF(2), modulo x⁸ + x⁴ + x³ + x² + 1.
//!
//! Bit `n` of a byte is the coefficient of xⁿ. Addition is exclusive or. The polynomial is part of
//! the parity format.
//!
//! Invariants:
//! - every table is computed from [`double`] alone, so they cannot disagree about the field.

/// The modulus without its leading term.
const POLYNOMIAL: u8 = 0x1d;

/// `NIBBLES[a][n]` is `a · n` for `n` below 16, and `NIBBLES[a][16 + n]` is `a · 16n`.
pub(super) static NIBBLES: [[u8; 32]; 256] = nibbles();

/// Multiplication by each element as an 8×8 matrix over GF(2), in the layout of `GF2P8AFFINEQB`:
/// byte `7 - i` holds the bits of the factor that add up to bit `i` of the product.
#[cfg(any(target_arch = "x86_64", test))]
pub(super) static AFFINE: [u64; 256] = affine();

/// `a · b`.
pub(super) fn multiply(a: u8, b: u8) -> u8 {
    let products = &NIBBLES[usize::from(a)];
    products[usize::from(b & 15)] ^ products[usize::from(16 + (b >> 4))]
}

/// The element that gives one when multiplied by `a`; zero for zero.
pub(super) fn inverse(a: u8) -> u8 {
    // The multiplicative group has 255 elements, so a²⁵⁴ · a = 1; 254 is 2 + 4 + … + 128.
    let mut square = a;
    let mut product = 1;
    for _ in 1..8 {
        square = multiply(square, square);
        product = multiply(product, square);
    }
    product
}

/// `a · x`.
const fn double(a: u8) -> u8 {
    let carry = if a & 0x80 == 0 { 0 } else { POLYNOMIAL };
    (a << 1) ^ carry
}

/// `a · xⁿ` for `n` below 8.
const fn powers(a: u8) -> [u8; 8] {
    let mut powers = [a; 8];
    let mut n = 1;
    while n < 8 {
        powers[n] = double(powers[n - 1]);
        n += 1;
    }
    powers
}

const fn nibbles() -> [[u8; 32]; 256] {
    let mut table = [[0; 32]; 256];
    let mut a = 0;
    while a < 256 {
        let powers = powers(a as u8);
        let mut n: usize = 1;
        while n < 16 {
            let bit = n.trailing_zeros() as usize;
            let rest = n & (n - 1);
            table[a][n] = table[a][rest] ^ powers[bit];
            table[a][16 + n] = table[a][16 + rest] ^ powers[4 + bit];
            n += 1;
        }
        a += 1;
    }
    table
}

#[cfg(any(target_arch = "x86_64", test))]
const fn affine() -> [u64; 256] {
    let mut table = [0; 256];
    let mut a = 0;
    while a < 256 {
        let powers = powers(a as u8);
        let mut bit = 0;
        while bit < 64 {
            let (out, factor) = (bit / 8, bit % 8);
            let is_set = (powers[factor] >> out) & 1;
            table[a] |= (is_set as u64) << ((7 - out) * 8 + factor);
            bit += 1;
        }
        a += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long multiplication and division, as in school.
    fn schoolbook(a: u8, b: u8) -> u8 {
        let mut product = 0_u16;
        for bit in 0..8 {
            if b & (1 << bit) != 0 {
                product ^= u16::from(a) << bit;
            }
        }
        for bit in (8..16).rev() {
            if product & (1 << bit) != 0 {
                product ^= 0x11d << (bit - 8);
            }
        }
        u8::try_from(product).unwrap()
    }

    #[test]
    fn both_tables_multiply() {
        for a in 0..=u8::MAX {
            for b in 0..=u8::MAX {
                let expected = schoolbook(a, b);
                assert_eq!(multiply(a, b), expected, "{a} {b}");
                let rows = AFFINE[usize::from(a)].to_be_bytes();
                let by_matrix = rows
                    .iter()
                    .enumerate()
                    .fold(0, |sum, (bit, row)| sum | (((row & b).count_ones() as u8 & 1) << bit));
                assert_eq!(by_matrix, expected, "{a} {b}");
            }
        }
    }

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        assert_eq!(inverse(0), 0);
        for a in 1..=u8::MAX {
            assert_eq!(multiply(a, inverse(a)), 1, "{a}");
        }
    }

    #[test]
    fn the_polynomial_is_primitive() {
        let mut seen = std::collections::BTreeSet::new();
        let mut power = 1;
        while seen.insert(power) {
            power = double(power);
        }
        assert_eq!(seen.len(), 255);
    }
}
