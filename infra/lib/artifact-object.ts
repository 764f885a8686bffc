import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

export interface ArtifactObjectArgs {
  /** The bucket of artifacts. */
  readonly bucket: pulumi.Input<string>;
  readonly key: string;
  readonly source: pulumi.asset.Asset;
  readonly dataKeyArn: pulumi.Input<string>;
}

/** Code, or what code reads, as an encrypted object of the artifacts' bucket. */
export function createArtifactObject(
  name: string,
  { bucket, key, source, dataKeyArn }: ArtifactObjectArgs,
  parent: pulumi.Resource,
): aws.s3.BucketObjectv2 {
  return new aws.s3.BucketObjectv2(
    name,
    { bucket, key, source, serverSideEncryption: "aws:kms", kmsKeyId: dataKeyArn },
    { parent },
  );
}

/** `s3://…` */
export function uriOf({ bucket, key }: aws.s3.BucketObjectv2): pulumi.Output<string> {
  return pulumi.interpolate`s3://${bucket}/${key}`;
}
