import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

/** Where resources are: everything an ARN needs beside the resource's own name. */
export interface Place {
  /** `aws`, `aws-cn` or `aws-us-gov`. */
  readonly partition: string;
  /** Twelve digits. */
  readonly accountId: string;
  /** For example `eu-central-1`. */
  readonly region: string;
}

/** The place that a provider deploys to, asked from AWS. */
export function currentPlace(options: pulumi.InvokeOptions = {}): pulumi.Output<Place> {
  return pulumi
    .all([
      aws.getPartitionOutput({}, options),
      aws.getCallerIdentityOutput({}, options),
      aws.getRegionOutput({}, options),
    ])
    .apply(([partition, identity, region]) => ({
      partition: partition.partition,
      accountId: identity.accountId,
      region: region.region,
    }));
}

/**
 * ARNs of resources, made from their names.
 *
 * A name that the program chose is known in a preview of resources that do not exist yet; an ARN read from the
 * resource is not, and a policy document with one unknown value is unknown as a whole. So statements are built from
 * `arns.bucket(bucket.bucket)`: known to a reviewer, and still dependent on the real resource.
 */
export class Arns {
  readonly place: pulumi.Output<Place>;

  constructor(place: pulumi.Input<Place>) {
    this.place = pulumi.output(place);
  }

  /** `arn:<partition>:<service>:<region>:<account>:<resource>` */
  regional(service: string, resource: pulumi.Input<string>): pulumi.Output<string> {
    return pulumi
      .all([this.place, resource])
      .apply(
        ([{ partition, region, accountId }, name]) =>
          `arn:${partition}:${service}:${region}:${accountId}:${name}`,
      );
  }

  /** `arn:<partition>:iam::<account>:<resource>` */
  iam(resource: pulumi.Input<string>): pulumi.Output<string> {
    return pulumi
      .all([this.place, resource])
      .apply(([{ partition, accountId }, name]) => `arn:${partition}:iam::${accountId}:${name}`);
  }

  bucket(bucket: pulumi.Input<string>): pulumi.Output<string> {
    return pulumi.all([this.place, bucket]).apply(([{ partition }, name]) => `arn:${partition}:s3:::${name}`);
  }

  /** Objects of a bucket under a prefix (`""` for all of them). */
  objects(bucket: pulumi.Input<string>, prefix = ""): pulumi.Output<string> {
    return pulumi.interpolate`${this.bucket(bucket)}/${prefix}*`;
  }

  logGroup(name: pulumi.Input<string>): pulumi.Output<string> {
    return this.regional("logs", pulumi.interpolate`log-group:${name}`);
  }

  /** `<service>.<region>.<dns suffix>`: what `kms:ViaService` compares with. */
  viaService(service: string): pulumi.Output<string> {
    return this.place.apply(
      ({ partition, region }) => `${service}.${region}.amazonaws.com${partition === "aws-cn" ? ".cn" : ""}`,
    );
  }
}
