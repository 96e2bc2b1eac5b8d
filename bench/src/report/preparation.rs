//! What a report needs before it can measure: objects, drives that are gone, keys that were deleted.

use anyhow::{Result, ensure};

use super::{
    figure::{Figure, MANY_KEYS, Prepared, Site},
    mesh::MeshServers,
    rounds::{Bench, SEED},
    scale::Scale,
    server::{self, Server},
};
use crate::size::format_size;

/// How often prepared objects are read before anything is measured, each on average: a drive
/// bypasses the page cache at the first read of a shard, and fills it at the second.
const WARMING_READS: u64 = 6;
/// The same for a set of one object, which is never left out.
const WARMING_READS_OF_ONE: u64 = 2;
impl Bench {
    /// Makes the objects that are read, on each server that is asked for them, and reads them.
    pub(super) async fn prepare(&mut self, figures: &[Figure]) -> Result<()> {
        if figures.iter().any(|figure| figure.site == Site::Degraded) {
            self.prepare_degraded(figures).await?;
        }
        if figures.iter().any(|figure| figure.site == Site::Mesh) {
            let directory = self.directory.join("mesh");
            self.mesh = Some(MeshServers::start(&self.program, &directory).await?);
            self.fill(figures, Site::Mesh, Site::Mesh).await?;
        }
        self.fill(figures, Site::Healthy, Site::Healthy).await?;
        self.warm(figures).await
    }

    /// Starts a second server, fills it, and takes two of its drives away.
    async fn prepare_degraded(&mut self, figures: &[Figure]) -> Result<()> {
        let data = self.directory.join("degraded");
        self.degraded = Some(Server::start(&self.program, &data).await?);
        self.fill(figures, Site::Degraded, Site::Degraded).await?;
        if let Some(server) = self.degraded.take() {
            server.stop().await?;
        }
        server::take_two_drives(&data)?;
        self.degraded = Some(Server::start(&self.program, &data).await?);
        Ok(())
    }

    async fn fill(&self, figures: &[Figure], read_at: Site, site: Site) -> Result<()> {
        let mut done: Vec<&Prepared> = Vec::new();
        for figure in figures.iter().filter(|figure| figure.site == read_at) {
            let Some(set) = figure.reads.as_ref().filter(|set| !done.contains(set)) else {
                continue;
            };
            done.push(set);
            if set.first > 0 {
                // The rest of a set that another figure names whole.
                continue;
            }
            let size = format_size(set.len_bytes);
            eprintln!("preparing {} objects of {size}", set.objects);
            let line = format!(
                "get --bucket {} --size {size} --objects {} --seed {SEED} --payload unsigned",
                set.bucket, set.objects
            );
            self.plan(site, &line)?.prepare(&self.stop).await?;
        }
        Ok(())
    }

    /// Reads the objects until they are in the page cache.
    async fn warm(&self, figures: &[Figure]) -> Result<()> {
        let mut done: Vec<(Site, &Prepared)> = Vec::new();
        for figure in figures {
            let Some(set) = &figure.reads else { continue };
            // Keys that are only listed have no shards.
            if set.bucket == MANY_KEYS || done.contains(&(figure.site, set)) || self.stop.is_set() {
                continue;
            }
            done.push((figure.site, set));
            let reads = if set.objects == 1 { WARMING_READS_OF_ONE } else { WARMING_READS };
            let line = format!(
                "get --bucket {} --size {} --objects {} --seed {SEED} --reuse --warm-up 0s \
                 --count {}",
                set.bucket,
                format_size(set.len_bytes),
                set.objects,
                reads * set.objects
            );
            let report = self.plan(figure.site, &line)?.measure(&self.stop).await?;
            ensure!(report.wrong_reads == 0, "wrong bytes: {:?}", report.error_examples);
        }
        Ok(())
    }

    /// Deletes most keys of the larger bucket.
    pub(super) async fn delete_many(&mut self) -> Result<()> {
        let Scale { many_keys, deleted_keys, .. } = self.scale;
        if self.stop.is_set() {
            return Ok(());
        }
        eprintln!("deleting {deleted_keys} of {many_keys} keys");
        let line = format!(
            "delete --bucket {MANY_KEYS} --size 1 --objects {many_keys} --count {deleted_keys} \
             --seed {SEED} --concurrency 64 --reuse"
        );
        let report = self.plan(Site::Healthy, &line)?.measure(&self.stop).await?;
        ensure!(
            self.stop.is_set() || report.total().count == deleted_keys,
            "keys could not be deleted: {:?}",
            report.error_examples
        );
        Ok(())
    }
}
