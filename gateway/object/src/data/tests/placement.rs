//! Where stripes go with fewer devices, and how evenly.

use std::collections::BTreeSet;

use gateway_meta::record::{Body, StripeRecord};
use node_proto::DeviceId;

use super::super::DataPath;
use super::super::testing::*;
use crate::{Fault, ObjectWriteError};

fn stripes(data: &DataPath, body: Body) -> Vec<StripeRecord> {
    let page = data.inner().manifests.page(body.manifest().unwrap(), 0).unwrap().unwrap();
    page.stripes.clone()
}

#[tokio::test]
async fn data_shards_adapt_to_the_devices_and_parity_never_does() {
    for (devices, k) in [(7, 4), (6, 4), (5, 3), (4, 2), (3, 1)] {
        let cluster = Cluster::new(devices);
        let data = cluster.open(small_stripes()).await;
        let bytes = payload(200_000, 1);
        let body = data.put_bytes(&bytes).await;
        let shapes: Vec<(u8, u8)> =
            stripes(&data, body).iter().map(|stripe| (stripe.k, stripe.m)).collect();
        // The last stripe is one chunk.
        assert_eq!(shapes, [(k, 2), (k, 2), (k, 2), (1, 2)], "{devices} devices");
        assert!(data.get_bytes(body, 200_000).await.unwrap() == bytes);
    }
    let cluster = Cluster::new(2);
    let data = cluster.open(small_stripes()).await;
    let error = data.write(TARGET, incoming(&[1; 60_000], 1000), LIMIT).await.err().unwrap();
    let few = Fault::TooFewDevices { up: 2, needed: 3 };
    assert_eq!(error.to_string(), ObjectWriteError::Fault(few).to_string());
    assert_eq!(cluster.shard_count(), 0);
}

#[tokio::test]
async fn devices_that_go_and_come_back_change_k_between_stripes() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    let mut ks = Vec::new();
    for offline in [0, 1, 2, 3, 0] {
        for (index, device) in cluster.devices.iter().enumerate() {
            device.set_offline(index < offline);
        }
        let bytes = payload(60_000, offline as u64);
        let body = data.put_bytes(&bytes).await;
        ks.push(stripes(&data, body)[0].k);
        assert!(data.get_bytes(body, 60_000).await.unwrap() == bytes);
    }
    assert_eq!(ks, [4, 3, 2, 1, 4]);
}

#[tokio::test]
async fn groups_are_few_and_devices_share_evenly() {
    let cluster = Cluster::new(6);
    let data = cluster.open(small_stripes()).await;
    for seed in 0..120 {
        data.put_bytes(&payload(60_000, seed)).await;
        data.put_bytes(&payload(2000, seed)).await;
    }
    let groups: BTreeSet<_> = (0..6)
        .flat_map(|device| data.inner().placement.groups_with(DeviceId(device)))
        .map(|(group, _)| group)
        .collect();
    assert_eq!(groups.len(), 6, "the rotations of six devices");
    let counts: Vec<usize> = cluster.devices.iter().map(|device| device.keys().len()).collect();
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    // 120 six-wide and 120 three-wide stripes are 180 shards a device.
    assert!(*least > 150 && *most < 210, "{counts:?}");
}

#[tokio::test]
async fn groups_survive_a_restart_and_are_not_made_again() {
    let cluster = Cluster::new(6);
    for _ in 0..3 {
        let data = cluster.open(small_stripes()).await;
        for seed in 0..20 {
            data.put_bytes(&payload(60_000, seed)).await;
        }
        assert_eq!(data.inner().placement.groups_with(DeviceId(0)).len(), 6);
    }
}
