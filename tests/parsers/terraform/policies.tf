resource "aws_iam_policy" "reader" {
  name = "reader"

  policy = <<-EOT
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Effect": "Allow",
          "Action": ["s3:GetObject"],
          "Resource": "${aws_s3_bucket.logs.arn}/*"
        }
      ]
    }
  EOT
}

resource "aws_instance" "bastion" {
  ami = "ami-0123456789abcdef0"

  user_data = <<EOF
#!/bin/bash
# not a comment of ours
echo "{ unbalanced" > /etc/motd
%{ for key in var.ssh_keys ~}
echo "${key}" >> ~ec2-user/.ssh/authorized_keys
%{ endfor ~}
EOF

  tags = {
    Name = "bastion"
  }
}

resource "aws_s3_bucket_policy" "logs" {
  bucket = aws_s3_bucket.logs.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [aws_s3_bucket.logs.arn, "${aws_s3_bucket.logs.arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_cloudwatch_log_metric_filter" "root" {
  name    = "root-login"
  pattern = "{ ($.userIdentity.type = \"Root\") && ($.eventType != \"AwsServiceEvent\") }"

  metric_transformation {
    name      = "RootLogin"
    namespace = "Audit"
    value     = 1
  }
}

resource "null_resource" "texts" {
  triggers = {
    tab     = "a\tb"
    unicode = "caf\u00e9 \U0001F600"
    path    = "C:\\temp"
    hash    = "# no comment // here /* nor here */"
    float   = 1.50
    empty   = ""
  }
}
