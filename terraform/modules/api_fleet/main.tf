data "aws_ami" "this" {
  filter {
    name   = "image-id"
    values = [var.image_id]
  }
}

data "aws_ec2_instance_type" "this" {
  for_each = toset(var.instance_types)

  instance_type = each.key
}

# Autoscaling groups do not hand the provider's default tags to what they start.
data "aws_default_tags" "this" {}

data "aws_partition" "this" {}

locals {
  tags = merge(data.aws_default_tags.this.tags, {
    Name           = var.name
    environment    = var.environment
    plane_services = join(" ", sort(keys(var.services)))
    }, var.load_balancer == null ? {} : {
    trusted_proxies = join(" ", var.load_balancer.cidrs)
    }, var.agent_namespace == null ? {} : {
    agent_namespace = var.agent_namespace
  })
}

# Rules have resources of their own: a rule that stands in the group itself would fight with them.
resource "aws_security_group" "this" {
  name        = var.name
  description = "Hosts of ${var.name}; no SSH, Session Manager opens what it needs from inside"
  vpc_id      = var.vpc_id
  tags        = { Name = var.name }
}

resource "aws_vpc_security_group_ingress_rule" "load_balancer" {
  for_each = var.load_balancer == null ? {} : var.services

  security_group_id            = aws_security_group.this.id
  description                  = "${each.key} from the load balancer"
  referenced_security_group_id = var.load_balancer.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "load_balancer" {
  for_each = var.load_balancer == null ? {} : var.services

  security_group_id            = var.load_balancer.security_group_id
  description                  = "${each.key} of ${var.name}"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = toset(var.client_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "HTTPS from clients"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# Packages, the release, Session Manager, Secrets Manager.
resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "HTTPS to anywhere"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "data_stores" {
  for_each = var.data_stores

  security_group_id            = aws_security_group.this.id
  description                  = each.key
  referenced_security_group_id = each.value.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "data_stores" {
  for_each = var.data_stores

  security_group_id            = each.value.security_group_id
  description                  = "${each.key} from ${var.name}"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_iam_role" "this" {
  name = var.name
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

locals {
  # Session Manager alone; AWS's own policy for it would let a host read every parameter of the account.
  session_manager = {
    Sid    = "SessionManager"
    Effect = "Allow"
    Action = [
      "ssm:UpdateInstanceInformation",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    # AWS knows no resource for these.
    Resource = ["*"]
  }
  # What ansible/playbooks/cloudwatch.yml publishes; AWS knows no other bound for it than the namespace.
  signals = [
    for namespace in [var.agent_namespace] : {
      Sid       = "Signals"
      Effect    = "Allow"
      Action    = ["cloudwatch:PutMetricData"]
      Resource  = ["*"]
      Condition = { StringEquals = { "cloudwatch:namespace" = namespace } }
    } if namespace != null
  ]
  self_configuration = [
    for statement in [
      {
        Sid      = "Bundle"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["arn:${data.aws_partition.this.partition}:s3:::${try("${var.bundle.bucket}/${var.bundle.key}", "")}"]
      },
      {
        Sid      = "Secrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = var.secret_arns
      },
      {
        Sid    = "Join"
        Effect = "Allow"
        Action = ["autoscaling:CompleteLifecycleAction"]
        Resource = [
          "arn:${data.aws_partition.this.partition}:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/${var.name}"
        ]
      },
    ] : statement if var.bundle != null
  ]
}

resource "aws_iam_role_policy" "this" {
  name = "host"
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat([local.session_manager], local.signals, local.self_configuration)
  })
}

resource "aws_iam_instance_profile" "this" {
  name = var.name
  role = aws_iam_role.this.name
}

resource "aws_launch_template" "this" {
  name                   = var.name
  image_id               = var.image_id
  instance_type          = var.instance_types[0]
  update_default_version = true
  vpc_security_group_ids = [aws_security_group.this.id]
  user_data = var.bundle == null ? null : base64encode(templatefile("${path.module}/bootstrap.sh.tftpl", {
    bundle      = var.bundle
    environment = var.environment
    services    = sort(keys(var.services))
    group       = var.name
    proxies     = try(var.load_balancer.cidrs, null)
    namespace   = var.agent_namespace
  }))

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  # Version 2 alone: a request that the application was tricked into cannot read the role's credentials.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = data.aws_ami.this.root_device_name

    ebs {
      volume_size           = var.disk_gib
      volume_type           = "gp3"
      encrypted             = true
      kms_key_id            = var.kms_key_arn
      delete_on_termination = true
    }
  }

  monitoring {
    enabled = true
  }

  tag_specifications {
    resource_type = "volume"
    tags          = local.tags
  }

  lifecycle {
    precondition {
      condition = alltrue([
        for type in data.aws_ec2_instance_type.this :
        type.default_vcpus >= var.needs.cpu && type.memory_size >= var.needs.memory_mib + var.needs.reserve_mib
      ])
      error_message = "instance_types is ${join(", ", [
        for name, type in data.aws_ec2_instance_type.this :
        "${name} (${type.default_vcpus} processors, ${type.memory_size} MiB)"
      ])}. Allowed: at least ${var.needs.cpu} processors and ${var.needs.memory_mib} + ${var.needs.reserve_mib} MiB."
    }
  }
}

resource "aws_autoscaling_group" "this" {
  name                = var.name
  min_size            = var.replicas.min
  max_size            = var.replicas.max
  vpc_zone_identifier = var.subnet_ids
  target_group_arns   = var.load_balancer == null ? null : values(var.load_balancer.target_group_arns)
  # The load balancer asks admission, which opens its port only after a model was verified.
  health_check_type         = var.load_balancer == null ? "EC2" : "ELB"
  health_check_grace_period = var.health_grace_seconds
  # Hosts serve only after Ansible ran: an apply that waited for them would wait for itself.
  wait_for_capacity_timeout = "0"

  mixed_instances_policy {
    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.this.id
        version            = aws_launch_template.this.latest_version
      }

      dynamic "override" {
        for_each = var.instance_types
        content {
          instance_type = override.value
        }
      }
    }

    # No spot instances: one that is taken away in two minutes takes the requests of its slots along.
    instances_distribution {
      on_demand_percentage_above_base_capacity = 100
    }
  }

  # One more host than before, then one fewer: a change never has fewer slots than the fleet has.
  instance_refresh {
    strategy = "Rolling"
    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 100 + ceil(100 / var.replicas.min)
      auto_rollback          = true
    }
  }

  dynamic "initial_lifecycle_hook" {
    # Without a bundle nothing on the host would end the wait.
    for_each = var.bundle == null ? [] : [1]
    content {
      name                 = "configure"
      lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
      heartbeat_timeout    = var.health_grace_seconds
      default_result       = "ABANDON"
    }
  }

  # After the load balancer let go of the host; nothing ends this wait early.
  initial_lifecycle_hook {
    name                 = "drain"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = var.grace_seconds
    default_result       = "CONTINUE"
  }

  dynamic "tag" {
    for_each = local.tags
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    # How many there are now is for the scaling policies.
    ignore_changes = [desired_capacity]
  }
}
