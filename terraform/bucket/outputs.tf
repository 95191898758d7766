output "store_url" {
  description = "The value of CENOTE_STORE."
  value       = "s3://${aws_s3_bucket.this.bucket}"
}

output "region" {
  description = "The value of AWS_REGION."
  value       = aws_s3_bucket.this.region
}

output "broker_policy_arn" {
  description = "To be attached to the role that the broker's machine has."
  value       = aws_iam_policy.broker.arn
}
