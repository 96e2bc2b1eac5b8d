//! The row families of the metadata store.

/// One ordered table; a column family in RocksDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// `bucket · key` → live object. All listing reads.
    Cur,
    /// `bucket · key · inverted sequence` → older versions, and every delete marker.
    Ver,
    /// `manifest · page` → manifest pages.
    Mf,
    /// `manifest` → ciphertext of small objects.
    Inl,
    /// `bucket · key · upload` → multipart uploads under way.
    Mpu,
    /// `upload · part number` → uploaded parts.
    Part,
    /// `placement group · manifest` → nothing: which manifests a group's devices hold.
    Pgidx,
    /// `lease` → leased manifest id ranges.
    Intent,
    /// `manifest` → bodies whose shards wait to be deleted.
    Gcq,
    /// `name` → counters, 16-byte big-endian two's complement.
    Ctr,
    /// `hour · account · bucket · dimension` → meter counters.
    Meter,
    /// Accounts, access keys, buckets, layout, devices, placement groups, key material.
    Ctl,
    /// `margin · manifest · page` → stripes that wait for repair.
    Repair,
    /// `transaction id` → remembered outcome. Written by engines only.
    Tx,
    /// `bucket · key` → sequence of the key's `null` version while that is in `ver`.
    Nul,
}

impl Table {
    /// Every table, in a fixed order.
    pub const ALL: [Self; 15] = [
        Self::Cur,
        Self::Ver,
        Self::Mf,
        Self::Inl,
        Self::Mpu,
        Self::Part,
        Self::Pgidx,
        Self::Intent,
        Self::Gcq,
        Self::Ctr,
        Self::Meter,
        Self::Ctl,
        Self::Repair,
        Self::Tx,
        Self::Nul,
    ];

    /// The persisted name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cur => "cur",
            Self::Ver => "ver",
            Self::Mf => "mf",
            Self::Inl => "inl",
            Self::Mpu => "mpu",
            Self::Part => "part",
            Self::Pgidx => "pgidx",
            Self::Intent => "intent",
            Self::Gcq => "gcq",
            Self::Ctr => "ctr",
            Self::Meter => "meter",
            Self::Ctl => "ctl",
            Self::Repair => "repair",
            Self::Tx => "tx",
            Self::Nul => "nul",
        }
    }
}
